"""What could not be measured. One failure costs one figure: the run goes on, says so at its end, and ends with 1."""
import traceback

TIRED = 3  # failures of one system in one part: what is left of it there would only take time


class Gaps:
    def __init__(self, say):
        self.say, self.found = say, []

    def tired(self, part, system):
        return sum((g["part"], g["system"]) == (part, system) for g in self.found) >= TIRED

    def attempt(self, part, system, what, call, *args):
        """What call(*args) returns; None when it fails, or when too much of that system has failed before."""
        if self.tired(part, system):
            return None
        try:
            return call(*args)
        except Exception as error:  # whatever it is: the other figures are worth having
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = " ".join(f"{type(error).__name__} in {where.name}: {error}".split())[:400]
            self.found.append({"part": part, "system": system, "what": what, "why": why})
            self.say(f"FAILED: {part}, {system}, {what}: {why}")
            if self.tired(part, system):
                self.say(f"{part}: {system} is left alone from now on")
            return None
