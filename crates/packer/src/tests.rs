use super::*;
use bareflow_abi::depends::BadDependency;

pub(crate) fn settings() -> Settings {
    Settings { name: "test".to_owned(), version: (1, 2, 3), ..Settings::default() }
}
#[test]
fn rejects_bad_names() {
    for name in ["", "Upper", "with space", "a-name-of-thirty-two-bytes-is-too"] {
        let refused = pack(&[], &Settings { name: name.to_owned(), ..settings() });
        assert_eq!(refused, Err(PackError::Name { found: name.to_owned() }));
    }
}

#[test]
fn rejects_version_zero() {
    assert_eq!(pack(&[], &Settings { version: (0, 0, 0), ..settings() }), Err(PackError::NoVersion));
}

#[test]
fn rejects_what_is_no_elf() {
    assert!(matches!(pack(b"no elf", &settings()), Err(PackError::NotElf { .. })));
}

fn depends(name: &str) -> Depends {
    Depends { name: name.to_owned(), from: [1, 0, 0], below: None }
}

#[test]
fn writes_dependencies_down() {
    let list = dependencies(&Settings { depends: vec![depends("sum")], ..settings() }).unwrap();
    let found: Vec<_> = Dependencies::new(&list).collect();
    assert_eq!(found, [Dependency { name: "sum", from: [1, 0, 0], below: None }]);
    assert_eq!(dependencies(&settings()), Ok(Vec::new()));
}

#[test]
fn rejects_dependencies_that_can_not_be() {
    let long = "a".repeat(300);
    for (name, why) in [("test", BadDependency::Itself), ("Sum", BadDependency::Name), (&long, BadDependency::Name)] {
        let error = pack(&[], &Settings { depends: vec![depends(name)], ..settings() }).unwrap_err();
        assert_eq!(error, PackError::Dependency { found: name.to_owned(), why });
        assert!(error.to_string().contains("package.metadata.bareflow.depends"), "{error}");
    }
}
