"""What a plan is made for: devices, their speed, memory and price."""

from dataclasses import dataclass, field

from schemas.config.machine import GivenServers, ManagedServers, VllmRuntime, VllmServers
from schemas.config.models import VllmEngineConfig
from schemas.config.run import RunConfig, Runtime
from schemas.config.teacher import ModelTeacher


@dataclass(frozen=True)
class Hardware:
    """Devices of one kind, and who works on how many of them."""

    flop_per_second: float = 2e10
    """Sustained by one device, not the data sheet's peak."""
    bytes_per_second: float | None = None
    """Of one device's memory; unknown: decoding is counted by its arithmetic alone."""
    memory_bytes: float | None = None
    """Of one device; unknown: nothing is said to fit or not."""
    price_per_hour: float | None = None
    """Of one device."""
    learner: int = 1
    """Devices that the updates are spread over."""
    student: int = 1
    """Devices that the student's rollouts are spread over; the learner's are among them."""
    teacher: int = 0
    """Devices of the teacher's own; none: it takes turns with the student."""
    vllm: VllmRuntime = field(default_factory=VllmRuntime)

    @property
    def devices(self) -> int:
        """All of them."""
        return max(self.learner, self.student) + self.teacher

    @property
    def teacher_or_shared(self) -> int:
        """Devices that the teacher's work is spread over."""
        return self.teacher or self.student


def student_devices(config: RunConfig, runtime: Runtime) -> int:
    """Devices that sample the student, as a recipe and a machine file say."""
    served = isinstance(config.engine, VllmEngineConfig)
    return max(1, _devices(runtime.vllm.student)) if served else 1


def teacher_devices(config: RunConfig, runtime: Runtime) -> int:
    """Devices that the teacher has to itself; 0 where it shares the student's, or is behind an endpoint."""
    teacher = config.teacher
    if not isinstance(teacher, ModelTeacher) or not isinstance(teacher.engine, VllmEngineConfig):
        return 0
    return _devices(runtime.vllm.teacher)


def devices_of_replica(servers: VllmServers) -> int:
    """Devices that hold one server's weights together."""
    return max(1, len(servers.devices) // servers.replicas) if isinstance(servers, ManagedServers) else 1


def replicas(servers: VllmServers) -> int:
    """Servers."""
    return servers.replicas if isinstance(servers, ManagedServers) else len(servers.urls)


def _devices(servers: VllmServers) -> int:
    return len(servers.urls) if isinstance(servers, GivenServers) else len(servers.devices)
