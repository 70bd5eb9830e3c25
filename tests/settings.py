"""Settings of trainings that several tests repeat in another way: resumed, or by several processes."""

from fastmlp import losses, optimizers, schedules

# name: settings of a Trainer
SHARED = {
    **{name: {"optimizer": name} for name in optimizers.OPTIMIZERS},
    "rate in velocity": {
        "optimizer": optimizers.Momentum(0.9, rate_in_velocity=True),
        "learning_rate": schedules.Step(1e-2, every=2),
    },
    "in order": {"shuffle": False},
    "dropout": {"dropout": 0.3},
    "plateau": {"learning_rate": schedules.Plateau(1e-3, patience=1, tol=1.0)},
    "clipped": {"optimizer": "adamw", "clip_norm": 0.1, "l2": 1e-3, "average_l2": True},
    "huber": {"loss": losses.Huber(0.5)},
}
