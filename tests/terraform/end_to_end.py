"""terraform apply against moto, then the real failoverd: it adopts, fails over, and Terraform has nothing to say.

Usage: end_to_end.py WORK FAILOVERD; WORK holds a copy of terraform/. Every process it starts ends with it.

Two-sided: with `ignore_changes` taken out, the same plan wants to write the records back. moto does not enforce an
exact DELETE, so that a fence made by Terraform is taken over is shown on `failoverd sandbox`, which does.
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import boto3

WORK, FAILOVERD = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
VENV = pathlib.Path(sys.executable).parent
BEGUN = time.monotonic()
ZONE, WWW, FENCE = "example.com", "www.example.com.", "www._failoverd.example.com."
started = []

ROOT = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "moto" {}
variable "zone_id" {}
variable "subnet_id" {}
variable "group_id" {}
variable "ami_id" {}
variable "ports" { type = list(number) }

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  endpoints {
    autoscaling      = var.moto
    cloudwatch       = var.moto
    cloudwatchevents = var.moto
    cloudwatchlogs   = var.moto
    ec2              = var.moto
    ecs              = var.moto
    iam              = var.moto
    route53          = var.moto
    sns              = var.moto
    sts              = var.moto
  }
}

locals {
  image  = "123456789012.dkr.ecr.us-east-1.amazonaws.com/failoverd:1"
  secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:ops-AbCdEf"
  web = {
    zone     = "example.com", zone_id = var.zone_id, ttl = 30
    check    = { type = "http", path = "/", interval = "1s", fast_interval = "200ms", timeout = "500ms", fall = 2, confirm = "0s" }
    failover = { hold_down = "1s" }
    target = [
      { name = "use1", addresses = ["127.0.0.1"], priority = 1, check = { port = var.ports[0] } },
      { name = "euw1", addresses = ["127.0.0.2"], priority = 2, check = { port = var.ports[1] } },
    ]
  }
}

# The one that fails over.
module "web" {
  source             = "../terraform"
  name               = "web"
  image              = local.image
  subnet_ids         = [var.subnet_id]
  security_group_ids = [var.group_id]
  create_topic       = true
  alarm_emails       = ["oncall@example.com"]
  settings           = { route53 = { endpoint_url = var.moto }, verify = { name_servers = [] }, api = { listen = "127.0.0.1:${var.ports[2]}" } }
  policies           = { web = merge(local.web, { records = ["www.example.com"] }) }
}

# The other ways to run it, and records nobody may destroy.
module "passes" {
  source             = "../terraform"
  name               = "passes"
  create_records     = false
  image              = local.image
  schedule           = "rate(1 minute)"
  subnet_ids         = [var.subnet_id]
  security_group_ids = [var.group_id]
  secrets            = { SLACK_WEBHOOK_URL = local.secret }
  state = {
    file_system_arn  = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0123456789abcdef0"
    access_point_arn = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0"
  }
  policies = { web = merge(local.web, { records = ["passes.example.com"] }) }
}

module "machine" {
  source             = "../terraform"
  name               = "machine"
  service            = "ec2"
  create_records     = false
  ami_id             = var.ami_id
  binary             = { url = "s3://releases/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  subnet_ids         = [var.subnet_id]
  security_group_ids = [var.group_id]
  secrets            = { SLACK_WEBHOOK_URL = local.secret }
  policies           = { web = merge(local.web, { records = ["machine.example.com"] }) }
}

module "kept" {
  source  = "../terraform"
  name    = "kept"
  service = "none"
  policies = {
    two = merge(local.web, { records = ["kept.example.com", "*.kept.example.com", "example.com"], target = [
      { name = "use1", addresses = ["127.0.0.1", "::1"], priority = 1 }, { name = "euw1", addresses = ["127.0.0.2", "fd12::2"], priority = 2 },
    ] })
    host = merge(local.web, { records = ["host.example.com"], target = [
      { name = "use1", host = "use1.example.net", priority = 1 }, { name = "euw1", host = "euw1.example.net", priority = 2 },
    ] })
    lb = merge(local.web, { ttl = null, records = ["lb.example.com"], target = [
      { name = "use1", alias = { name = "a.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }, priority = 1 },
      { name = "euw1", alias = { name = "b.eu-west-1.elb.amazonaws.com", zone_id = "Z32O12XQLNTSW2" }, priority = 2 },
    ] })
  }
}

output "files" { value = module.web.files }
"""

CONFIG = """
module "config" {
  source   = "./terraform/modules/config"
  settings = { verify = { name_servers = [] }, rehearsal = { schedule = "off" } }
  policies = { web = {
    zone   = "example.com", zone_id = "%s", records = ["www.example.com"], ttl = 30
    check  = { type = "http", path = "/", interval = "1s", fast_interval = "200ms", timeout = "500ms", fall = 2, confirm = "0s" }
    target = [
      { name = "use1", addresses = ["127.0.0.1"], priority = 1, check = { port = %d } },
      { name = "euw1", addresses = ["127.0.0.2"], priority = 2, check = { port = %d } },
    ]
  } }
}
output "made" { value = { files = module.config.files, fence = module.config.fences[0] } }
"""


def say(text):
    print(f"   {time.monotonic() - BEGUN:5.1f}s  {text}", flush=True)


def fail(text):
    sys.exit(f"end to end: {text}")


def wait(what, look, patience=40, also=lambda: ""):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    fail(f"not within {patience} s: {what}\n{also()}")


class Process:
    """A child in a group of its own, with its output in a file."""

    def __init__(self, name, args, env=None):
        self.name, self.log = name, WORK / f"{name}.log"
        self.child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log.open("w"), stderr=subprocess.STDOUT, env=env, start_new_session=True)
        started.append(self)

    def said(self):
        return self.log.read_text(errors="replace")

    def end(self, patience=100):
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            fail(f"{self.name} did not end within {patience} s\n{self.said()[-3000:]}")

    def stop(self, with_signal=signal.SIGTERM):
        self.child.send_signal(with_signal)
        return self.end(40)

    def kill(self):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()


def target(ip):
    """A web server that says yes, until it is shut."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((ip, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def client(service, url):
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


def values(route53, zone, name, kind):
    sets = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return [v["Value"] for s in sets if s["Name"] == name and s["Type"] == kind for v in s.get("ResourceRecords", [])]


def environment():
    return {
        "PATH": os.environ["PATH"], "HOME": str(WORK), "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-only-not-a-secret",
    }


def move_all(route53, zone):
    """Every kind of record goes to its second target, as a failover writes it."""
    after = {"A": ["127.0.0.2"], "AAAA": ["fd12::2"], "CNAME": ["euw1.example.net."]}
    alias = {"HostedZoneId": "Z32O12XQLNTSW2", "DNSName": "b.eu-west-1.elb.amazonaws.com.", "EvaluateTargetHealth": True}
    changes = []
    for record in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]:
        name, kind = record["Name"], record["Type"]
        if name == WWW or kind not in after:
            continue
        content = {"AliasTarget": alias} if "AliasTarget" in record else {"TTL": 20, "ResourceRecords": [{"Value": v} for v in after[kind]]}
        changes.append({"Action": "UPSERT", "ResourceRecordSet": {"Name": name, "Type": kind, **content}})
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return len(changes)


def write_files(files, directory, **replaced):
    """The files as they are, but for where the state is and what else is named here."""
    replaced = {"/var/lib/failoverd": str(directory), **replaced}
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for old, new in replaced.items():
            text = text.replace(old, new)
        path.write_text(text)
    return str(directory / "failoverd.toml")


def terraform(name, directory, *args):
    process = Process(name, ["terraform", f"-chdir={directory}", *args])
    code = process.end()
    return code, process.said()


def errors_of(said):
    """From the first error on; all of it when there is none."""
    return said[max(said.find("\nError"), 0):]


def begin_plan(name, directory, *more):
    args = ["plan", *more, "-detailed-exitcode", "-input=false", "-no-color", "-lock=false"]
    return Process(name, ["terraform", f"-chdir={directory}", *args])


def ended(process):
    return process.end(), process.said()


def copy_of(root, name):
    """The root with its state, beside a terraform/ of its own."""
    beside = WORK / name
    shutil.copytree(WORK / "terraform", beside / "terraform")
    shutil.copytree(root, beside / root.name)
    return beside / root.name


def a_fence_by_terraform_is_taken_over(ports):
    """On the sandbox, which refuses a DELETE that is not exact. Another owner's fence is left alone."""
    use1, euw1 = ports
    sandbox = Process("sandbox", [
        FAILOVERD, "sandbox", "--api", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--zone", ZONE, "--pending", "300ms", "--record", "www.example.com 30 A 127.0.0.1",
    ], environment())
    wait("the sandbox is up", lambda: "stop with Ctrl-C" in sandbox.said(), also=sandbox.said)
    zone = re.search(r"zone example.com: id (\S+)", sandbox.said())[1]
    url = re.search(r"API (http://[^,\s]+)", sandbox.said())[1]
    directory = WORK / "pure"
    directory.mkdir()
    shutil.copytree(WORK / "terraform", directory / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    (directory / "main.tf").write_text(CONFIG % (zone, use1, euw1))
    for step in (["init"], ["apply", "-auto-approve"]):
        code, said = terraform(f"pure-{step[0]}", directory, *step, "-input=false", "-no-color")
        if code:
            fail(said)
    _, said = terraform("pure-output", directory, "output", "-json", "made")
    made = json.loads(said)

    route53 = client("route53", url)
    fence = made["fence"]

    def change(action, value):
        record = {"Name": fence["name"], "Type": "TXT", "TTL": fence["ttl"], "ResourceRecords": [{"Value": f'"{value}"'}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": action, "ResourceRecordSet": record}]})

    somebodys = fence["value"].replace("m=released", "m=auto")
    if somebodys == fence["value"]:
        fail(f"the fence does not say released: {fence}")
    change("CREATE", somebodys)
    config = write_files(made["files"], WORK / "sandboxed")
    env = {**environment(), "AWS_ENDPOINT_URL": url}
    daemon = Process("sandboxed-run", [FAILOVERD, "-c", config, "--log", "json", "run"], env)
    wait("the fence of another owner is told", lambda: "unowned" in daemon.said(), also=daemon.said)
    if values(route53, zone, FENCE, "TXT") != [f'"{somebodys}"']:
        fail("the fence of another owner was written over")
    daemon.stop()
    change("DELETE", somebodys)
    change("CREATE", fence["value"])
    daemon = Process("sandboxed-run-again", [FAILOVERD, "-c", config, "--log", "json", "run"], env)

    def adopted():
        text = " ".join(values(route53, zone, FENCE, "TXT"))
        return " e=1 " in text and " m=auto " in text and " o=default/failoverd " in text

    wait("the fence that Terraform wrote is taken over", adopted, also=daemon.said)
    lines = [json.loads(line) for line in daemon.said().splitlines() if line.startswith("{")]
    if not [line for line in lines if line.get("message") == "alive"]:
        fail(f"no line that the metric filter of the daemon counts:\n{daemon.said()}")
    daemon.stop()
    sandbox.stop()
    say("a fence as Terraform makes it is taken over without a person; another owner's is not; the daemon says alive")


def main():
    moto = Process("moto", [str(VENV / "moto_server"), "-H", "127.0.0.1", "-p", "0"], environment())
    url = wait("moto is up", lambda: re.search(r"Running on (http://127\.0\.0\.1:\d+)", moto.said()), also=moto.said)[1]
    servers = [target("127.0.0.1"), target("127.0.0.2")]
    ports = [s.server_address[1] for s in servers] + [free_port()]
    route53, ec2, ecs = client("route53", url), client("ec2", url), client("ecs", url)
    zone = route53.create_hosted_zone(Name=ZONE, CallerReference="1")["HostedZone"]["Id"].split("/")[-1]
    given = {
        "moto": url, "zone_id": zone, "ports": ports,
        "subnet_id": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "group_id": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        "ami_id": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
    }
    root = WORK / "root"
    root.mkdir()
    (root / "main.tf").write_text(ROOT)
    (root / "terraform.tfvars.json").write_text(json.dumps(given))
    code, said = terraform("get", root, "get", "-no-color")
    if code:
        fail(said)

    apply = Process("apply", ["terraform", f"-chdir={root}", "apply", "-auto-approve", "-input=false", "-no-color", "-parallelism=60"])
    a_fence_by_terraform_is_taken_over(ports[:2])
    if apply.end(150):
        fail(f"apply failed:\n{errors_of(apply.said())}")
    say(re.search(r"Apply complete.*", apply.said())[0].lower())

    tasks = [ecs.describe_task_definition(taskDefinition=a)["taskDefinition"] for a in ecs.list_task_definitions(familyPrefix="web")["taskDefinitionArns"]]
    definition = next(c for c in tasks[0]["containerDefinitions"] if c["name"] == "failoverd")
    _, said = terraform("output", root, "output", "-json", "files")
    config = write_files(json.loads(said), WORK / "controller")
    daemon = Process("run", [FAILOVERD, "-c", config, "--log", "json", "run"], environment())
    wait("the record is adopted", lambda: " e=1 " in " ".join(values(route53, zone, FENCE, "TXT")), also=daemon.said)
    ask = [FAILOVERD, *definition["healthCheck"]["command"][2:]]
    well = Process("health", ask, environment())
    if well.end(20) != 0:
        fail(f"{ask} is what ECS asks; it ended badly:\n{well.said()}\n{daemon.said()}")
    say("adopted, and well when asked as ECS asks")
    servers[0].shutdown()
    servers[0].server_close()
    moved = lambda: values(route53, zone, WWW, "A") == ["127.0.0.2"] and " k=failover " in " ".join(values(route53, zone, FENCE, "TXT"))
    wait("the record fails over", moved, also=daemon.said)
    if daemon.stop() != 0:
        fail(f"the daemon ended badly:\n{daemon.said()}")
    if Process("health-after", ask, environment()).end(20) == 0:
        fail("a daemon that has ended is called well")
    say("failed over from 127.0.0.1 to 127.0.0.2")

    kinds = move_all(route53, zone)
    if kinds != 9:
        fail(f"A and AAAA of three names, a CNAME and two aliases make 9 records, not {kinds}")
    # Side by side, each with a copy of configuration and state. The last two choose otherwise about records that live.
    bare, left, elsewhere = copy_of(root, "bare"), copy_of(root, "left"), copy_of(root, "elsewhere")
    records = bare.parent / "terraform/modules/records/main.tf"
    records.write_text(re.sub(r"^\s*ignore_changes.*\n", "", records.read_text(), flags=re.M))
    of = "module.kept.module.records.aws_route53_record"
    for other, more in ((left, "create_records = false"), (elsewhere, 'new_records_at = { two = "euw1", host = "euw1", lb = "euw1" }')):
        (other / "main.tf").write_text(ROOT.replace('name    = "kept"', f'name    = "kept"\n  {more}'))
    as_it_is = begin_plan("plan-after-failover", root)
    without = begin_plan("plan-without-ignore-changes", bare)
    destroyed = begin_plan("plan-destroy", copy_of(root, "destroyed"), "-destroy", "-target=module.kept")
    left_alone = begin_plan("plan-left-alone", left, "-target=module.kept")
    begun_elsewhere = begin_plan("plan-begun-elsewhere", elsewhere, "-target=module.kept")
    passed = Process("once", [FAILOVERD, "-c", config, "--log", "json", "once", "--deadline", "20s"], environment())

    code, said = ended(as_it_is)
    if code != 0:
        fail(f"after the failover Terraform wants to change something, the plan ended with {code}:\n{errors_of(said)}")
    say("plan -detailed-exitcode after the failover, and after a move of A, AAAA, CNAME, alias, wildcard and apex: 0")
    code, said = ended(without)
    if code != 2 or any(f"module.web.module.records.aws_route53_record.{name}[" not in said for name in ("managed", "fence")):
        fail(f"without ignore_changes the plan should write record and fence back, it ended with {code}:\n{said}")
    say("the same plan without ignore_changes: 2, it would write record and fence back")
    passed.end()
    lines = [json.loads(line) for line in passed.said().splitlines() if line.startswith("{")]
    if not [line for line in lines if line.get("message") == "pass ended" and line.get("exit") == 0]:
        fail(f"no line that the metric filter of passes counts:\n{passed.said()}")
    say("a pass says that it ended, and how")

    # Teardown as the README says it. The provider waits half a minute for a change of Route 53; the zone tells earlier.
    running = lambda: [s for s in ecs.describe_services(cluster="web", services=["web"])["services"] if s["status"] == "ACTIVE" and s["desiredCount"] > 0]
    if not running():
        fail("there is no service that could end before the fences")
    code, said = terraform("state-rm", root, "state", "rm", "module.web.module.records.aws_route53_record.managed")
    if code:
        fail(said)
    destroy = Process("destroy", ["terraform", f"-chdir={root}", "destroy", "-target=module.web", "-auto-approve", "-input=false", "-no-color"])
    for what, plan in (("plan -destroy", destroyed), ("a plan with create_records = false", left_alone)):
        code, said = ended(plan)
        if code != 1 or f"{of}.managed" not in said or "Instance cannot be destroyed" not in said:
            fail(f"a live record may be destroyed, {what} ended with {code}:\n{said}")
        say(f"{what}: refused for the records")
    code, said = ended(begun_elsewhere)
    if code != 0:
        fail(f"new_records_at should say nothing about records that exist, the plan ended with {code}:\n{errors_of(said)}")
    say("new_records_at for records that exist: 0")
    wait("the fence is destroyed", lambda: not values(route53, zone, FENCE, "TXT"), patience=60, also=destroy.said)
    if running():
        fail(f"the fence went before the service: {running()}\n{destroy.said()}")
    if values(route53, zone, WWW, "A") != ["127.0.0.2"]:
        fail(f"the record that was given up is {values(route53, zone, WWW, 'A')}, it should say what it said\n{destroy.said()}")
    say("state rm, then destroy: the service, then the fence; the record stays as it was")


signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
try:
    main()
finally:
    for process in reversed(started):
        process.kill()
