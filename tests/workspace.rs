//! The workspace's packages: those that are published, and those that are not.

use cargo_metadata::MetadataCommand;

/// The published packages; `.ci/run` packs each of them separately.
const PUBLISHED: [&str; 11] = [
    "bareflow-abi",
    "bareflow-device",
    "bareflow-engine",
    "bareflow-events",
    "bareflow-loader",
    "bareflow-macros",
    "bareflow-packer",
    "bareflow-regions",
    "bareflow-report",
    "bareflow-runtime",
    "bareflow-supervision",
];

#[test]
fn nothing_is_published_by_accident() {
    let metadata =
        MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).no_deps().exec();
    let packages = metadata.unwrap().packages;
    // An empty list of registries means that a package is not published.
    let published =
        packages.iter().filter(|package| package.publish.as_ref().is_none_or(|registries| !registries.is_empty()));
    let mut names: Vec<_> = published.map(|package| package.name.to_string()).collect();
    names.sort();
    assert_eq!(names, PUBLISHED);
}
