"""Networks as files for other programs: source code that predicts without Python."""
