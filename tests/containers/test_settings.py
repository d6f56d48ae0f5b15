"""What .env.example, compose.yaml and the programs say about settings is the same. Needs no engine."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "docker/.env.example").read_text()
COMPOSE = (ROOT / "docker/compose.yaml").read_text()
# Of the `ireko` command, whose --help tells of them in sentences.
COMMAND = {"IREKO_URL", "IREKO_TOKEN", "IREKO_CACERT", "IREKO_PASSWORD_FILE"}


def known():
    """Every variable that the daemons know."""
    names = set(COMMAND)
    for program in ("ireko-dataplane", "ireko-controlplane"):
        text = subprocess.run([ROOT / "build/bin" / program, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        names |= set(re.findall(r"^  --\S+ +(IREKO_\w+)", text, re.M))
    assert len(names) > 25
    return names


def example():
    """{variable: its text} of .env.example; all of them stand there as comments."""
    return dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.M))


def test_every_setting_is_in_the_example():
    missing = {n for n in known() if not re.search(rf"\b{n}(_FILE)?\b", EXAMPLE)}
    assert not missing, missing


def test_the_example_knows_nothing_else():
    ours = set(re.findall(r"\$\{(\w+)", COMPOSE))
    allowed = known() | {f"{n}_FILE" for n in known()}
    for name in re.findall(r"\bIREKO_\w+", EXAMPLE):
        assert name in allowed or name in ours, name


def test_compose_takes_what_the_example_sets():
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert set(example()) == asked, set(example()) ^ asked


def test_compose_passes_only_what_a_program_knows():
    passed = set(re.findall(r"^      (IREKO_\w+):", COMPOSE, re.M))
    assert passed <= known() | {f"{n}_FILE" for n in known()}, passed - known()


def test_contract_of_readme():
    """README's table of settings names what the programs know."""
    table = re.findall(r"^\| (`IREKO_.*?) \|", (ROOT / "README.md").read_text(), re.M)
    named = set(re.findall(r"`(IREKO_\w+)`", " ".join(table)))
    special = {"IREKO_HEALTHCHECK", "IREKO_RESTORE"}
    assert known() - named - special == set()
