//! The manifest for Kubernetes: every object by the published strict schema, and what it mounts as
//! the container sees it. No cluster is at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::image::{Image, Recipe};
use super::wheels::{Kubernetes, yaml};
use crate::real::daemon::finish;

const KINDS: [(&str, &str); 5] = [
    ("ServiceAccount", "io.k8s.api.core.v1.ServiceAccount"),
    ("ConfigMap", "io.k8s.api.core.v1.ConfigMap"),
    ("Secret", "io.k8s.api.core.v1.Secret"),
    ("Service", "io.k8s.api.core.v1.Service"),
    ("StatefulSet", "io.k8s.api.apps.v1.StatefulSet"),
];

fn objects() -> Vec<Value> {
    yaml(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes.yaml"))
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn every_object_keeps_the_published_schema() {
    let schemas = Kubernetes::new();
    let definition = |kind: &Value| KINDS.iter().find(|(k, _)| kind == k).unwrap_or_else(|| panic!("{kind}")).1;
    let objects = objects();
    for object in &objects {
        let faults = schemas.faults(definition(&object["kind"]), object);
        assert_eq!(faults, Vec::<String>::new(), "{} {}", object["kind"], object["metadata"]["name"]);
    }
    let mut wrong = named(&objects, "StatefulSet", "failoverd").clone();
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = true.into();
    assert_eq!(schemas.faults(definition(&wrong["kind"]), &wrong).len(), 1, "a misspelt key is found");
}

#[test]
fn one_pod_with_no_rights_and_with_the_checks_the_daemon_answers() {
    let objects = objects();
    let set = &named(&objects, "StatefulSet", "failoverd")["spec"];
    assert_eq!(set["replicas"], 1);
    let pod = &set["template"]["spec"];
    let container = &pod["containers"][0];
    for (at, wanted) in [
        (&pod["securityContext"]["runAsNonRoot"], Value::from(true)),
        (&pod["securityContext"]["runAsUser"], 65532.into()),
        (&pod["securityContext"]["fsGroup"], 65532.into()),
        (&pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault".into()),
        (&container["securityContext"]["readOnlyRootFilesystem"], true.into()),
        (&container["securityContext"]["allowPrivilegeEscalation"], false.into()),
        (&container["securityContext"]["capabilities"]["drop"][0], "ALL".into()),
        (&pod["automountServiceAccountToken"], false.into()),
        // Both pages are answered in image.rs by the same binary.
        (&container["livenessProbe"]["httpGet"]["path"], "/healthz".into()),
        (&container["readinessProbe"]["httpGet"]["path"], "/readyz".into()),
    ] {
        assert_eq!(*at, wanted, "{container:#}");
    }
    let recipe = Recipe::read();
    assert_eq!(container["args"], Value::from(recipe.one("CMD")));
    assert_eq!(recipe.one("USER"), ["65532:65532"]);
    let image = container["image"].as_str().unwrap();
    assert_eq!(image, format!("failoverd:{}", env!("CARGO_PKG_VERSION")), "an image of this release");
    let claim = &set["volumeClaimTemplates"][0]["metadata"]["name"];
    let mounts = container["volumeMounts"].as_array().unwrap();
    let state = mounts.iter().find(|m| m["name"] == *claim).unwrap();
    assert_eq!(state["mountPath"], recipe.one("VOLUME")[0].as_str());
    assert_eq!(set["selector"]["matchLabels"], set["template"]["metadata"]["labels"]);
    assert_eq!(named(&objects, "Service", "failoverd")["spec"]["selector"], set["selector"]["matchLabels"]);
}

/// The files of each volume, written below `dir`, by where the container sees them.
fn mounted(dir: &Path, image: &Image, objects: &[Value]) -> Vec<(PathBuf, String)> {
    let pod = &named(objects, "StatefulSet", "failoverd")["spec"]["template"]["spec"];
    let volumes: BTreeMap<&str, &Value> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| {
            let files = match (volume["configMap"]["name"].as_str(), volume["secret"]["secretName"].as_str()) {
                (Some(name), None) => &named(objects, "ConfigMap", name)["data"],
                (None, Some(name)) => &named(objects, "Secret", name)["stringData"],
                other => panic!("{other:?}"),
            };
            (volume["name"].as_str().unwrap(), files)
        })
        .collect();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let of_files = mounts.iter().filter(|mount| mount["name"] != "state");
    let write = |mount: &Value| {
        assert_eq!(mount["readOnly"], true, "{mount}");
        let name = mount["name"].as_str().unwrap();
        let at = dir.join(name);
        std::fs::create_dir(&at).unwrap();
        for (file, text) in volumes[name].as_object().unwrap() {
            std::fs::write(at.join(file), text.as_str().unwrap()).unwrap();
            image.give(&at.join(file), 0o440);
        }
        image.give(&at, 0o750);
        (at, mount["mountPath"].as_str().unwrap().to_owned())
    };
    of_files.map(write).collect()
}

#[test]
fn the_configuration_it_mounts_is_valid_where_it_is_mounted() {
    let objects = objects();
    let image = Image::new();
    let check = |objects: &[Value]| {
        let dir = tempfile::tempdir().unwrap();
        let mounts = mounted(dir.path(), &image, objects);
        let mounts: Vec<(&Path, &str)> = mounts.iter().map(|(from, to)| (from.as_path(), to.as_str())).collect();
        std::os::unix::fs::chown(dir.path(), None, None).unwrap();
        finish(&mut image.command(&mounts, &["check".to_owned()]))
    };
    let said = check(&objects);
    assert_eq!(said.code, Some(0), "{said:#?}");
    // The kubelet asks from outside the pod, so it cannot listen on loopback alone.
    assert!(said.out.contains("0 errors, 1 warning") && said.err.contains("plain HTTP"), "{said:#?}");

    let mut objects = objects;
    let policies = objects.iter_mut().find(|o| o["metadata"]["name"] == "failoverd-policies").unwrap();
    policies["data"]["web.toml"] = "nonsense".into();
    let said = check(&objects);
    assert!(said.code == Some(4) && said.err.contains("/etc/failoverd-policies/web.toml"), "{said:#?}");
}
