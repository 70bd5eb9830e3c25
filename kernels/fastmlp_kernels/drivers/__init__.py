"""Training, evaluation and prediction of many rows on many threads, and their plan and scratch memory.

All parallel regions are here, but for the measurement in `tile.peak`. The arithmetic is that of `products` and
`panelwise`. Words used throughout:

- *tile*: small matrix that a product keeps in registers, a panel wide and ROWS rows high (see `tile.operations`);
- *panel*: columns of a matrix, as many as a tile has, stored together row by row (see `layout.panels`);
- *block*: up to about 150 rows of a batch, which one thread takes forward and backward through all layers; 256 if the
  operands of products are bfloat16;
- *slot*: the memory that holds what gradients read of one block at a time: activations and error signals;
- *group*: consecutive blocks whose gradients are added to one buffer;
- *chunk*: blocks that are trained before their gradient is completed: the whole batch, if there are enough slots;
- *piece*: rectangle of a layer's weights, whose gradient and update are the task of one thread, its owner;
- *share*: task of one thread in the forward and backward passes: one block, or one group.

Ranges are half-open: batches, blocks or rows first..last include `first` but not `last`.
"""
