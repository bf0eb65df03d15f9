"""What is written twice in terraform/ is the same twice: tables of the README, keys of the JSON Schemas, the unit.

UPDATE=1 writes the README's tables anew.
"""

import json
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TERRAFORM = ROOT / "terraform"
wrong = []


def check(what, found, wanted):
    if found != wanted:
        wrong.append(f"{what}\n  here:  {found}\n  there: {wanted}")


def blocks(path, kind):
    """The named blocks of one kind: name -> body."""
    return dict(re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', path.read_text(), re.M | re.S))


def attribute(body, name):
    """The value of a one-line or bracketed attribute, or None."""
    found = re.search(rf"^  {name}\s*=\s*(.*(?:\n(?:    .*|  [\]}}].*))*)", body, re.M)
    return re.sub(r"\s+", " ", found[1]).strip() if found else None


def rows(text, heading):
    """Rows of the table under a heading, without its two head lines."""
    part = text.split(f"\n{heading}\n", 1)
    if len(part) < 2:
        return None
    lines = [line for line in part[1].split("\n#")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def description(body):
    return json.loads(attribute(body, "description"))


def readme_tables():
    path = TERRAFORM / "README.md"
    inputs, outputs = [], []
    for name, body in blocks(TERRAFORM / "variables.tf", "variable").items():
        default = attribute(body, "default")
        shown = "required" if default is None else f"`{default}`"
        inputs.append([f"`{name}`", f"`{attribute(body, 'type')}`", shown, description(body)])
    for name, body in blocks(TERRAFORM / "outputs.tf", "output").items():
        outputs.append([f"`{name}`", description(body)])
    tables = {"## Inputs": (["name", "type", "default", "what"], inputs), "## Outputs": (["name", "what"], outputs)}
    text = path.read_text()
    for heading, (head, wanted) in tables.items():
        if os.environ.get("UPDATE"):
            lines = [head, ["---"] * len(head), *wanted]
            table = "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")
            text = re.sub(rf"(\n{heading}\n\n)(\|.*\n)+", lambda m: m[1] + table + "\n", text)
            path.write_text(text)
        check(f"README.md, {heading}, against the code (UPDATE=1 {pathlib.Path(__file__).name} writes it)", rows(text, heading), wanted)


def every_variable_and_output_is_described():
    for path in sorted(TERRAFORM.rglob("*.tf")):
        for kind in ("variable", "output"):
            for name, body in blocks(path, kind).items():
                if not attribute(body, "description"):
                    wrong.append(f"{path.relative_to(ROOT)}: {kind} {name} has no description")


def keys_of_the_schemas():
    """An unknown key is refused by lists in modules/config: they are those of the schemas."""
    text = (TERRAFORM / "modules/config/main.tf").read_text()

    def listed(name):
        found = re.search(rf"^\s+{name}\s*=\s*\[(.*?)\]", text, re.M | re.S)
        return sorted(re.findall(r'"([^"]+)"', found[1])) if found else f"no list {name}"

    def keys(schema, *but):
        return sorted(set(schema["properties"]) - set(but))

    policy = json.loads((ROOT / "policies/policy.schema.json").read_text())
    main = json.loads((ROOT / "policies/main.schema.json").read_text())
    of, target = policy["properties"], policy["properties"]["target"]["items"]
    # `id` is the key in the map; lists with tables of their own follow below.
    check("policy_keys", listed("policy_keys"), keys(policy, "id", "check", "failback", "failover", "notify", "target"))
    check("failback", listed("failback"), keys(of["failback"], "window"))
    check("failover", listed("failover"), keys(of["failover"]))
    check("notify", listed("notify"), keys(of["notify"]))
    check("window_keys", listed("window_keys"), keys(of["failback"]["properties"]["window"]))
    check("check_keys", listed("check_keys"), keys(of["check"], "expect", "headers"))
    check("expect_keys", listed("expect_keys"), keys(of["check"]["properties"]["expect"], "body", "json"))
    check("target_keys", listed("target_keys"), keys(target, "alias", "check"))
    check("alias_keys", listed("alias_keys"), keys(target["properties"]["alias"]))
    of = main["properties"]
    # Set by the module itself.
    theirs = ("instance", "policies", "state")
    tables = ("api", "guard", "notifier", "rehearsal", "route53", "verify", "witness")
    check("main_keys", listed("main_keys"), keys(main, *theirs, *tables))
    for table in ("guard", "rehearsal", "route53", "verify"):
        check(table, listed(table), keys(of[table]))
    check("api", listed("api"), keys(of["api"], "token"))
    check("witness_keys", listed("witness_keys"), keys(of["witness"]["items"]))
    check("notifier keys", sorted(listed("notifier_keys") + listed("secret_keys")), keys(of["notifier"]["items"]))


def the_unit_is_the_one_of_the_package():
    packaged = [path for path in (ROOT / "packaging").rglob("failoverd.service")]
    if not packaged:
        wrong.append("packaging has no failoverd.service")
    for path in packaged:
        check(f"modules/boot/failoverd.service against {path.relative_to(ROOT)}", (TERRAFORM / "modules/boot/failoverd.service").read_text(), path.read_text())


def what_the_pinned_provider_cannot_know_is_kept_out():
    newer = ["aws_scheduler_schedule", "runtime_platform", "aws_ecs_cluster_capacity_providers", "aws_vpc_security_group_", "secret_string_wo"]
    for path in sorted(TERRAFORM.rglob("*.tf")):
        for word in newer:
            if word in path.read_text():
                wrong.append(f"{path.relative_to(ROOT)}: {word} is unknown to provider 3.39.0, so no test here would check it")


readme_tables()
every_variable_and_output_is_described()
keys_of_the_schemas()
the_unit_is_the_one_of_the_package()
what_the_pinned_provider_cannot_know_is_kept_out()
if wrong:
    sys.exit("\n".join(wrong))
