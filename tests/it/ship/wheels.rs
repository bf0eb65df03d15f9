//! Published schemas and a parser, read out of the wheels that tests/run fetches by their hashes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const KUBERNETES: &str = "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/_definitions.json";
const CYCLONEDX: &str = "cyclonedx/schema/_res/";

fn venv() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv");
    std::env::var_os("FAILOVERD_TEST_VENV").map_or(ours, PathBuf::from)
}

/// Runs a Python program of the tests' own environment and gives its output.
pub fn python(program: &str, args: &[&Path]) -> Vec<u8> {
    let python = venv().join("bin/python");
    assert!(python.exists(), "{} is missing: run tests/run once, which makes it", python.display());
    let out = Command::new(python).arg("-c").arg(program).args(args).output().unwrap();
    assert!(out.status.success(), "{program}\n{args:?}\n{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn wheel(name: &str) -> PathBuf {
    let dir = venv().join("wheels");
    let files = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(name));
    let found = files.filter(|path| path.extension().is_some_and(|e| e == "whl")).find(ours);
    found.unwrap_or_else(|| panic!("no {name}-*.whl in {}: run tests/run once, which fetches it", dir.display()))
}

fn member(name: &str, path: &str) -> Value {
    let program = "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    serde_json::from_slice(&python(program, &[&wheel(name), Path::new(path)])).unwrap()
}

/// Every document of a YAML file.
pub fn yaml(path: &Path) -> Vec<Value> {
    let program = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    serde_json::from_slice(&python(program, &[path])).unwrap()
}

/// The instructions of a Containerfile, as `[name, [flags], [words]]`, by the parser of image builders.
pub fn containerfile(path: &Path) -> Vec<(String, Vec<String>, Vec<String>)> {
    let program = "import json, sys, tempfile, zipfile\n\
        with tempfile.TemporaryDirectory() as where:\n\
        \x20   zipfile.ZipFile(sys.argv[1]).extractall(where)\n\
        \x20   sys.path.insert(0, where)\n\
        \x20   import dockerfile\n\
        \x20   json.dump([[c.cmd, c.flags, c.value] for c in dockerfile.parse_file(sys.argv[2])], sys.stdout)";
    serde_json::from_slice(&python(program, &[&wheel("dockerfile"), path])).unwrap()
}

/// What the strict schema of one kind of Kubernetes object, e.g. `io.k8s.api.apps.v1.StatefulSet`, finds wrong.
pub struct Kubernetes(Value);

impl Kubernetes {
    pub fn new() -> Kubernetes {
        Kubernetes(member("kubernetes_validate", KUBERNETES))
    }

    pub fn faults(&self, definition: &str, object: &Value) -> Vec<String> {
        assert!(self.0["$defs"][definition].is_object(), "{definition}");
        let mut schema = self.0.clone();
        schema["$ref"] = format!("#/$defs/{definition}").into();
        faults(&jsonschema::options().offline().build(&schema).unwrap(), object)
    }
}

/// What CycloneDX's own schema (1.6) finds wrong with a bill of materials.
pub fn cyclonedx_faults(bill: &Value) -> Vec<String> {
    let part = |name: &str| member("cyclonedx_python_lib", &format!("{CYCLONEDX}{name}"));
    let at = |name: &str| format!("http://cyclonedx.org/schema/{name}");
    let others = ["spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"];
    let registry = others
        .iter()
        .try_fold(jsonschema::Registry::new(), |all, name| all.add(at(name), part(name)))
        .and_then(|all| all.prepare())
        .unwrap();
    let schema = part("bom-1.6.SNAPSHOT.schema.json");
    faults(&jsonschema::options().with_registry(&registry).offline().build(&schema).unwrap(), bill)
}

fn faults(validator: &jsonschema::Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn the_schemas_refuse_what_they_do_not_know() {
    let kubernetes = Kubernetes::new();
    let (kind, mut object) = ("io.k8s.api.core.v1.ConfigMap", json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    assert_eq!(kubernetes.faults(kind, &object), Vec::<String>::new());
    object["metadata"] = json!({"nmae": "x"});
    assert_eq!(kubernetes.faults(kind, &object).len(), 1, "strict in depth too");

    let mut bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1});
    assert_eq!(cyclonedx_faults(&bill), Vec::<String>::new());
    bill["components"] = json!([{"type": "library", "name": "x", "licenses": [{"license": {"id": "No-Such"}}]}]);
    assert_eq!(cyclonedx_faults(&bill).len(), 1, "licence names are those of SPDX");
}
