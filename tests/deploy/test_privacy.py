"""What a run writes is its owner's alone, also where supervisord stays in the foreground and ignores its umask."""

import configparser
import re

import pytest

from deploy.demo import SIMULATOR
from tests.support.processes import ROOT


@pytest.mark.parametrize("text", [(ROOT / "deploy" / "supervisord.conf").read_text(), SIMULATOR])
def test_every_program_has_the_umask(text: str) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(text)
    programs = [name for name in parser.sections() if name.startswith("program:")]
    assert programs
    assert {name: parser[name].get("umask") for name in programs} == dict.fromkeys(programs, "077")


@pytest.mark.parametrize("target", ["run", "demo"])
def test_the_commands_set_it_for_what_supervisord_itself_writes(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    assert recipe[1].startswith("\t@umask 077; ")
