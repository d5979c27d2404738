//! x
fn main() {
    let w = bareflow_builder::discover::discover(std::path::Path::new("Cargo.toml")).unwrap();
    for m in &w.modules {
        match bareflow_builder::build_module(m, &w.target.join("modules")) {
            Ok(b) => println!("{} {}", b.name, b.bytes.len()),
            Err(e) => println!("{e}"),
        }
    }
}
