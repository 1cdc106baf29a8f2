"""The replay buffer of the naive step."""

from tests.reference.naive_sampling import draws, mean_reward, rounded_down
from tests.reference.naive_values import Entry, Event, NaiveGroup
from tests.reference.world import World


def replayed(world: World) -> list[str]:
    """Waiting questions that are rolled out again; none that is new in this step."""
    waiting = [each.question for each in world.buffer if each.question not in world.new]
    wanted = rounded_down(world.profile.replay_fraction, world.profile.new)
    if wanted > len(waiting):
        wanted = len(waiting)
    return draws(world, "replay").sample(waiting, wanted)


def entries_of(world: World) -> list[Entry]:
    """The buffer before the step."""
    return [(each.question, each.admitted, each.entry_accuracy, each.visits) for each in world.buffer]


def after(world: World, plain: list[NaiveGroup]) -> tuple[list[Entry], list[Event]]:
    """The buffer after the step's plain groups, and what happened to it."""
    entries = entries_of(world)
    events: list[Event] = []
    for group in plain:
        if not group.rollouts:
            continue
        accuracy = mean_reward(group)
        place = None
        for number, waiting in enumerate(entries):
            if waiting[0] == group.question:
                place = number
        if place is None:
            if accuracy < world.profile.tau:
                entries.append((group.question, world.round, accuracy, 1))
                events.append(("admit", group.question, accuracy, accuracy, 1, world.round))
            continue
        name, admitted, entry_accuracy, visits = entries[place]
        if accuracy < world.profile.tau:
            entries[place] = (name, admitted, entry_accuracy, visits + 1)
        else:
            entries.pop(place)
            events.append(("graduate", name, entry_accuracy, accuracy, visits + 1, admitted))
    while len(entries) > world.profile.capacity:
        name, admitted, entry_accuracy, visits = entries.pop(0)
        events.append(("evict", name, entry_accuracy, None, visits, admitted))
    return entries, events
