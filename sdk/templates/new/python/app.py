"""What the plugin reads: the share of the board's memory that a new program could get."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.sampler import Finding
from wit_world.imports import kernel
from wit_world.imports.errors import Error
from wit_world.imports.readings import Limits, Place, Sample, Sensor


class Sampler(exports.Sampler):
    def configure(self, settings: str) -> Finding:
        return Finding(1, None)  # knows any board of the kind; the note would be for the operator

    # What cannot be read becomes a fault, never a 0; the rest is still a sample.
    def sample(self) -> Sample:
        sensors, faults = [], []
        try:
            sensors.append(available())
        except Err as error:
            faults.append(error.value)
        return Sample(None, None, [], [], [], sensors, None, faults)


def available() -> Sensor:
    memory = kernel.memory()
    if memory.available is None:
        raise Err(Error("absent", "this kernel does not say what is available"))
    value = 100 * memory.available / memory.total
    limits = Limits(None, None, None, None, None)
    return Sensor(Place("board", ""), "memory", "available", None, value, "%", "ok", limits)
