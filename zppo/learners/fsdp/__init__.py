"""A learner in several processes that share out the weights (FSDP2).

`learner` speaks to them from the training process. `launch` starts `agent`, torch's elastic launcher in a
process of its own, which starts the ranks and watches them. A `rank` runs the same `Updater` as the torch
learner on its share, with `sharding` as its team.
"""
