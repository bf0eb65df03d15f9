"""What the provider-less modules decide, put to the test of who will read it: the configuration goes to
`failoverd check`, the script of the first container and the user data of the machine to a real shell.

Usage: written.py WORK FAILOVERD; WORK holds a copy of terraform/.
"""

import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

WORK, FAILOVERD = pathlib.Path(sys.argv[1]), sys.argv[2]
NO_SUM = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Every key of both schemas stands here once, so that each is rendered as the controller reads it.
MODULE = """
locals {
  addresses = [
    { name = "us", region = "us-east-1", addresses = ["127.0.0.11", "fd12::11"], priority = 1 },
    { name = "eu", addresses = ["127.0.0.12", "fd12::12"], priority = 2, check = {
      port = 8081, expect = { status = ["200-299", 304], body = "say \\"well\\" <b>&\\\\", json = { status = "ok" } }, headers = { "X-Probe" = "a\\tb=\\"c\\"" }
    } },
  ]
}

module "config" {
  source       = "./terraform/modules/config"
  instance     = "use1-a"
  secret_names = ["SLACK_WEBHOOK_URL", "SIGNING_KEY", "API_TOKEN"]
  settings = {
    cluster   = "prod"
    route53   = { burst = 10, endpoint_url = "http://127.0.0.1:9", region = "us-east-1", requests_per_second = 5.5, role_arn = "arn:aws:iam::123456789012:role/dns", share = 0.5 }
    verify    = { name_servers = ["127.0.0.1:53"], timeout = "90s" }
    api       = { listen = "0.0.0.0:8653", token = { env = "API_TOKEN" } }
    guard     = { floor = 10, max_changed = 0.3, per = "10m" }
    rehearsal = { schedule = "0 0 4 * * *" }
    witness   = [{ name = "w1", tcp = "127.0.0.1:443" }, { name = "w2", url = "https://localhost/", region = "us-east-1" }, { name = "w3", tcp = "127.0.0.2:443" }]
    notifier = [
      { name = "ops", type = "slack", url = { env = "SLACK_WEBHOOK_URL" } },
      { name = "audit", type = "webhook", url = "https://localhost/hook", secret = { env = "SIGNING_KEY" } },
    ]
  }
  policies = {
    every = {
      zone = "example.com", zone_id = "Z0123456789ABCDEFGHIJ", records = ["www.example.com", "*.example.com"], ttl = 30
      adopt = "auto", answers = 1, importance = 5, min_active = 1, observe = "30s", reconcile = "5m"
      check = {
        type = "https", port = 8443, path = "/healthz", method = "GET", host = "www.example.com", sni = "www.example.com", headers = { "X-Probe" = "1" }
        interval = "5s", fast_interval = "1s", timeout = "2s", fall = 3, rise = 2, settle = 1, confirm = "8s", redirects = 1, max_body = "64KiB"
        verify_tls = true, min_cert_days = 7, expect = { body = { regex = "^ok$" }, json = { status = "healthy", db = { up = true, lag = 3 } } }
      }
      target   = local.addresses
      failover = { drift = "alert", flap_budget = "4/h", hold_down = "60s", write = "swap" }
      failback = { mode = "auto", soak = "5m", window = { cron = "0 0 9 * * Mon-Fri", duration = "8h", timezone = "Europe/Berlin" } }
      notify   = { to = ["ops", "audit"] }
    }
    beat = {
      zone = "example.com", zone_id = "Z0123456789ABCDEFGHIJ", records = ["beat.example.com"]
      check  = { type = "heartbeat", port = 7000, send = "PING\\r\\n", receive = "PONG", schedule = "*/10 * * * * *" }
      target = [{ name = "a", host = "a.example.net", priority = 1 }, { name = "b", host = "b.example.net", priority = 2 }]
    }
    lb = {
      zone = "example.net", zone_id = "Z00000000000000000002", records = ["example.net"]
      check = { type = "https" }
      target = [
        { name = "a", alias = { name = "a.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K", evaluate_target_health = true }, priority = 1 },
        { name = "b", alias = { name = "b.eu-west-1.elb.amazonaws.com", zone_id = "Z32O12XQLNTSW2" }, priority = 2 },
      ]
    }
  }
}

module "container" {
  source    = "./terraform/modules/container"
  image     = "failoverd:1"
  log_group = "/failoverd/every"
  region    = "eu-west-1"
  files     = module.config.files
}

module "boot" {
  source  = "./terraform/modules/boot"
  name    = "every"
  region  = "eu-west-1"
  binary  = { url = "https://localhost/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  files   = module.config.files
  secrets = { SLACK_WEBHOOK_URL = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf:slack::", SIGNING_KEY = "arn:aws:ssm:eu-west-1:123456789012:parameter/key" }
}

output "files" { value = module.config.files }
output "containers" { value = module.container.containers }
output "machine" { value = module.boot.files }
output "user_data" { value = module.boot.user_data }
"""


def run(args, ok=(0,), **more):
    done = subprocess.run(args, text=True, capture_output=True, timeout=120, **more)
    if done.returncode not in ok:
        sys.exit(f"{args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def clean_environment(**more):
    return {"PATH": os.environ["PATH"], "HOME": str(WORK), "AWS_EC2_METADATA_DISABLED": "true", **more}


def write(files, directory):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def same_files(directory, files, what):
    for name, text in files.items():
        path = directory / name.lstrip("/")
        if not path.is_file() or path.read_text() != text:
            sys.exit(f"{what}: {name} is not what was decided:\n{path.read_text() if path.is_file() else 'missing'}\n---\n{text}")


def stubs(name, **programs):
    """A directory of small programs that stand in for the machine's; `sleep` does not."""
    directory = WORK / name
    directory.mkdir()
    for program, text in {"sleep": "exit 0", **programs}.items():
        (directory / program).write_text(f"#!/bin/sh\n{text}\n")
        (directory / program).chmod(0o755)
    return {**clean_environment(), "PATH": f"{directory}:{os.environ['PATH']}", "STUBS": str(directory)}


def secrets_arrive(root):
    """Also when the first try fails; a key of a JSON secret alone; readable by their owner alone."""
    aws = """
[ -e "$STUBS/tried" ] || { : >"$STUBS/tried"; echo 'no credentials yet' >&2; exit 255; }
case "$*" in
    *secretsmanager*--secret-id\\ arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf\\ *) echo '{"slack": "https://localhost/slack", "other": "x"}' ;;
    *ssm*--with-decryption*parameter/key*) echo signing-key ;;
    *) echo "unexpected: $*" >&2; exit 2 ;;
esac"""
    arrived = WORK / "secrets"
    script = (root / "usr/local/sbin/failoverd-secrets").read_text().replace("/run/failoverd-secrets", str(arrived))
    run(["sh", "-c", script], env=stubs("aws-secrets", aws=aws))
    found = {path.name: (path.read_text().strip(), oct(path.stat().st_mode & 0o777)) for path in arrived.iterdir()}
    wanted = {"SIGNING_KEY": ("signing-key", "0o600"), "SLACK_WEBHOOK_URL": ("https://localhost/slack", "0o600")}
    if found != wanted:
        sys.exit(f"the machine's secrets are {found}, not {wanted}")


def the_binary_arrives(tail):
    """Also when a try fails and the next one brings something else; only what has the sum is put in place."""
    binary = b"#!/bin/sh\necho the binary\n"
    curl = """
while [ "$1" != --output ]; do shift; done
printf x >>"$STUBS/tries"
case $(cat "$STUBS/tries") in
    x) exit 22 ;;
    xx) echo 'half of it' >"$2" ;;
    *) printf '%s\\n' '#!/bin/sh' 'echo the binary' >"$2" ;;
esac"""
    environment = stubs("aws-binary", curl=curl, systemctl='echo "$*" >>"$STUBS/asked"')
    machine = pathlib.Path(environment["STUBS"])
    (machine / "usr/bin").mkdir(parents=True)
    script = "set -eu\nnew=$(mktemp" + tail.replace("/usr/bin/", f"{machine}/usr/bin/").replace(NO_SUM, hashlib.sha256(binary).hexdigest())
    said = run(["sh", "-c", script], env=environment).stderr
    installed = machine / "usr/bin/failoverd"
    if installed.read_bytes() != binary or not os.access(installed, os.X_OK) or len(list(installed.parent.iterdir())) != 1:
        sys.exit(f"the machine's binary is not what was asked for: {installed.read_bytes()}")
    tries, told = (machine / "tries").read_text(), said.count("trying again")
    if (tries, told) != ("xxx", 2) or "failoverd.service" not in (machine / "asked").read_text():
        sys.exit(f"the binary was tried {len(tries)} times and told {told} times:\n{said}")


def a_sign_of_life_is_passed_on(root):
    """With the daemon's line in the journal there is a metric, without it there is none."""
    script = str(root / "usr/local/sbin/failoverd-sign-of-life")
    for name, line, wanted in (("alive", '{"level":"INFO","message":"alive","policies":1}', True), ("silent", '{"level":"INFO","message":"ready"}', False)):
        environment = stubs(f"journal-{name}", journalctl=f"echo '{line}'", aws='echo "$*" >"$STUBS/called"')
        run(["sh", script], env=environment)
        called = pathlib.Path(environment["STUBS"]) / "called"
        if called.exists() != wanted or (wanted and "--namespace failoverd/every --metric-name SignOfLife" not in called.read_text()):
            sys.exit(f"with {line} in the journal a metric was {'' if called.exists() else 'not '}put")


def main():
    (WORK / "main.tf").write_text(MODULE)
    terraform = ["terraform", f"-chdir={WORK}"]
    run([*terraform, "init", "-input=false", "-no-color"])
    run([*terraform, "apply", "-auto-approve", "-input=false", "-no-color"])
    made = {name: o["value"] for name, o in json.loads(run([*terraform, "output", "-json"]).stdout).items()}

    # The controller reads every key as it was meant; a wrong value would be told with its line.
    directory = pathlib.Path(tempfile.mkdtemp(dir=WORK))
    write(made["files"], directory)
    secrets = {"SLACK_WEBHOOK_URL": "https://localhost/slack", "API_TOKEN": "test-only-not-a-secret", "SIGNING_KEY": "whsec_" + base64.b64encode(b"0" * 32).decode()}
    checked = run([FAILOVERD, "-c", str(directory / "failoverd.toml"), "check", "-o", "json"], env=clean_environment(**secrets), ok=(0, 4))
    if checked.returncode:
        shown = "\n".join(f"--- {name}\n{text}" for name, text in made["files"].items())
        sys.exit(f"failoverd check refuses what modules/config wrote:\n{checked.stdout}\n{checked.stderr}\n{shown}")
    policies = {p["id"]: p for p in json.loads(checked.stdout)["policies"]}
    if sorted(policies) != ["beat", "every", "lb"]:
        sys.exit(f"failoverd read other policies: {sorted(policies)}")

    # The first container's script, with its two directories under ours and no chown to a foreign user.
    script = made["containers"][0]["command"][0]
    config, state = WORK / "container/etc", WORK / "container/state"
    config.mkdir(parents=True)
    state.mkdir()
    script = script.replace("/etc/failoverd", str(config)).replace("/var/lib/failoverd", str(state)).replace("65532:65532", f"{os.getuid()}:{os.getgid()}")
    environment = {e["name"]: e["value"] for e in made["containers"][0]["environment"]}
    run(["sh", "-c", script], env=clean_environment(**environment))
    same_files(config, made["files"], "the first container")

    # The user data up to where it needs the network, below a directory of ours.
    root = WORK / "machine"
    head, tail = made["user_data"].split("new=$(mktemp", 1)
    run(["sh", "-n"], input=made["user_data"])
    run(["sh"], input=head.replace(" '/", f" '{root}/"), env=clean_environment())
    same_files(root, made["machine"], "the machine")
    for program in root.glob("usr/local/sbin/*"):
        run(["sh", "-n", str(program)])
        if not os.access(program, os.X_OK):
            sys.exit(f"{program.name} cannot be run")
    secrets_arrive(root)
    the_binary_arrives(tail)
    a_sign_of_life_is_passed_on(root)
    print(f"ok: {len(made['files'])} files read by failoverd, written by the container's script and by the machine's user data")


main()
