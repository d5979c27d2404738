//! A driver that faults when it is asked to.

use std::fs;
use std::path::{Path, PathBuf};

use bareflow::client::Client;
use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_protocol::control::LoadOverrides;

use super::kernel::push_with;
use super::root;

/// Loads the driver that can be made to fault, and is started again each time.
pub fn push_faulty(client: &mut Client) {
    let policy = LoadOverrides { domain: Some("user"), on_fault: Some("restart:1000000"), ..LoadOverrides::default() };
    push_with(client, &faulty_driver(), policy);
}

/// Builds the driver with one line more: its function `net_init` panics if it gets an input.
pub fn faulty_driver() -> Vec<u8> {
    let folder = root().join("target/faulty-driver");
    let copy = |from: PathBuf, to: PathBuf, change: &dyn Fn(String) -> String| {
        let text = change(fs::read_to_string(&from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // What is the same is not written, so it is not built again.
        if fs::read_to_string(&to).is_ok_and(|old| old == text) {
            return;
        }
        fs::write(to, text).unwrap();
    };
    let drivers = root().join("drivers");
    let up = format!("\"{}/", root().display());
    copy(drivers.join("Cargo.toml"), folder.join("Cargo.toml"), &|text| text.replace("\"../", &up));
    copy(drivers.join("Cargo.lock"), folder.join("Cargo.lock"), &|text| text);
    copy(drivers.join("virtio-net/Cargo.toml"), folder.join("virtio-net/Cargo.toml"), &|text| text);
    for file in ["frames.rs", "start.rs"] {
        let path = Path::new("virtio-net/src").join(file);
        copy(drivers.join(&path), folder.join(&path), &|text| text);
    }
    copy(drivers.join("virtio-net/src/lib.rs"), folder.join("virtio-net/src/lib.rs"), &|text| {
        let (head, rest) = text.split_once("fn net_init(_:").unwrap();
        let (arguments, body) = rest.split_once("{\n").unwrap();
        let fault = "    assert!(context.input().is_empty(), \"asked to\");\n";
        format!("{head}fn net_init(context:{arguments}{{\n{fault}{body}")
    });
    let module = module_at(&folder.join("virtio-net/Cargo.toml")).unwrap_or_else(|error| panic!("{error}"));
    build_module(&module, &folder).unwrap_or_else(|error| panic!("{error}"));
    fs::read(folder.join("virtio-net.mod")).unwrap()
}
