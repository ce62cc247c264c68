"""Reads a Dockerfile: as much of the language as docmill's use."""

import json
import shlex
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.deployment.manifests import REPOSITORY

SERVICES = ("api", "ingest", "janitor")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    keyword: str
    value: str

    def words(self) -> list[str]:
        """The value as words, or as the list that its JSON form is."""
        if self.value.startswith("["):
            return [str(each) for each in json.loads(self.value)]
        return shlex.split(self.value)


@dataclass
class Stage:
    """What follows one FROM."""

    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, keyword: str) -> list[Instruction]:
        """The instructions with this keyword."""
        return [each for each in self.instructions if each.keyword == keyword]

    def environment(self, inherited: dict[str, str]) -> dict[str, str]:
        """``inherited`` and what ENV sets; ``$PATH`` is what it was."""
        result = dict(inherited)
        for instruction in self.all("ENV"):
            for word in instruction.words():
                name, _, value = word.partition("=")
                result[name] = value.replace(f"${name}", result.get(name, ""))
        return result


@dataclass(frozen=True)
class Dockerfile:
    """The two stages of an image."""

    path: Path
    build: Stage
    final: Stage

    @property
    def command(self) -> list[str]:
        """What a container runs unless told otherwise."""
        return self.final.all("CMD")[-1].words()

    @property
    def health_check(self) -> list[str]:
        """The command that tells whether a container is well."""
        value = self.final.all("HEALTHCHECK")[-1].value
        return Instruction("CMD", value[value.index("CMD ") + 4 :].strip()).words()


@cache
def dockerfile(service: str) -> Dockerfile:
    """The Dockerfile of this service."""
    path = REPOSITORY / "services" / service / "Dockerfile"
    stages: list[Stage] = []
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        keyword, _, value = line.partition(" ")
        if keyword == "FROM":
            stages.append(Stage(value.split()[0]))
        else:
            stages[-1].instructions.append(Instruction(keyword, " ".join(value.split())))
    build, final = stages
    return Dockerfile(path, build, final)
