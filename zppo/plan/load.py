"""The arithmetic and the memory traffic of a run, and the phases that they make."""

from dataclasses import dataclass

from schemas.config.run import RunConfig
from zppo.plan.compute import Tokens, distils, student_compute, teacher_compute, written
from zppo.plan.estimates import Estimate, total
from zppo.plan.hardware import Hardware
from zppo.plan.lengths import Lengths
from zppo.plan.samplers import Sampler
from zppo.plan.timing import HELD_OUT, ROLLOUTS, TEACHER, UPDATES, Phase


@dataclass(frozen=True)
class Load:
    """Floating-point operations by phase, and what sampling reads from memory."""

    compute: tuple[Estimate, ...]
    traffic: tuple[Estimate, ...]

    def phases(self, hardware: Hardware) -> list[Phase]:
        """What is timed, each on its devices."""
        devices = {UPDATES: hardware.learner, TEACHER: hardware.teacher or hardware.student}
        names = dict.fromkeys(each.what.partition(":")[0] for each in self.compute)
        read = {each.what: each.value for each in self.traffic}
        return [
            Phase(
                name,
                total(each for each in self.compute if each.what.partition(":")[0] == name),
                devices.get(name, hardware.student),
                read.get(name, 0.0),
            )
            for name in names
        ]


def make_load(
    config: RunConfig, student: Sampler, teacher: Sampler | None, work: Tokens, lengths: Lengths
) -> Load:
    """What student and teacher compute and read."""
    readers = [student.shape.text, *([teacher.shape.text] if teacher and distils(config) else [])]
    compute = student_compute(config, student.shape, work, lengths, readers)
    traffic = (
        student.traffic(ROLLOUTS, config.rounds * total(work.round.responses)),
        student.traffic(HELD_OUT, total(work.run.responses)),
    )
    if teacher is None:
        return Load(compute, traffic)
    return Load(
        compute + teacher_compute(config, teacher.shape, work, lengths, readers),
        (*traffic, teacher.traffic(TEACHER, total(written(config, work).responses))),
    )
