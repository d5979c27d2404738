//! Building of crates that depend on features of a module's build, in any folder and environment.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::workspace::workspace;
use common::{assert_code, errors, root, text};

/// Writes a crate with `code`, and with `rest` after its manifest's dependencies.
fn write_crate(folder: &Path, features: &str, rest: &str, code: &str) {
    fs::create_dir_all(folder.join("src")).unwrap();
    let (name, abi) = (folder.file_name().unwrap().to_str().unwrap(), root().join("abi"));
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         bareflow-abi = {{ path = {abi:?}, features = [{features}] }}\n{rest}\n\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), format!("#![no_std]\n{code}")).unwrap();
}

fn run_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR").envs(variables.iter().copied());
    command.env("CARGO_NET_OFFLINE", "true").output().unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_with(folder, arguments, &[])
}

/// The code of a module that returns 7.
const SEVEN: &str = "bareflow_abi::module!(work);\npub fn work() -> i32 { core::hint::black_box(7) }\n";

#[test]
fn crates_get_the_functions_and_symbols_they_need() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        // `core` calls `strlen`.
        (
            "text",
            "",
            "",
            "bareflow_abi::module!(work);\npub fn work() -> i32 {\n let text = core::hint::black_box(c\"seven77\");\n \
          unsafe { core::ffi::CStr::from_ptr(text.as_ptr()) }.count_bytes() as i32 }\n",
        ),
        // A function that the ABI crate also has.
        (
            "own",
            "",
            "",
            "bareflow_abi::module!(work);\n#[unsafe(no_mangle)] pub unsafe extern \"C\" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {\n \
          unsafe { core::arch::asm!(\"rep movsb\", inout(\"rdi\") to => _, inout(\"rsi\") from => _, inout(\"rcx\") n => _) }; to }\n\
          pub fn work() -> i32 { let mut room = [0_u8; 7]; let n = core::hint::black_box(7); room[..n].copy_from_slice(&core::hint::black_box([1; 7])[..n]);\n \
          core::hint::black_box(room).iter().map(|byte| i32::from(*byte)).sum() }\n",
        ),
        // An undefined weak symbol is 0.
        (
            "weak",
            "",
            "",
            "core::arch::global_asm!(\".weak nowhere\", \".globl look\", \"look: mov rax, [rip + nowhere@GOTPCREL]\", \"add eax, 7\", \"ret\");\n\
          unsafe extern \"C\" { fn look() -> i32; }\nbareflow_abi::module!(work);\npub fn work() -> i32 { unsafe { look() } }\n",
        ),
        // Items that are collected from the whole crate.
        (
            "parts",
            "",
            "",
            "bareflow_abi::module!(work);\n#[unsafe(link_section = \"my_parts\")] #[used] static ONE: i32 = 3;\n\
          mod other { #[unsafe(link_section = \"my_parts\")] #[used] static TWO: i32 = 4; }\n\
          unsafe extern \"C\" { static __start_my_parts: [i32; 0]; static __stop_my_parts: [i32; 0]; }\n\
          pub fn work() -> i32 { let (mut at, end) = unsafe { ((&raw const __start_my_parts).cast::<i32>(), (&raw const __stop_my_parts).cast()) };\n \
          let mut sum = 0; while at != end { unsafe { sum += *at; at = at.add(1); } } sum }\n",
        ),
        (
            "critical",
            "\"critical-section\"",
            "critical-section = \"1\"",
            "bareflow_abi::module!(work);\npub fn work() -> i32 { critical_section::with(|_| critical_section::with(|_| core::hint::black_box(7))) }\n",
        ),
        (
            "featured",
            "",
            "[features]\ndefault = [\"bad\"]\nbad = []\ngood = []",
            "#[cfg(any(feature = \"bad\", not(feature = \"good\"), not(fast)))] compile_error!(\"features\");\nbareflow_abi::module!(work);\npub fn work() -> i32 { 7 }\n",
        ),
    ];
    for (name, features, rest, code) in cases {
        let path = folder.path().join(name);
        let more = if name == "featured" {
            "features = [\"good\"]\ndefault-features = false\nrustflags = [\"--cfg\", \"fast\"]\n"
        } else {
            ""
        };
        write_crate(&path, features, &format!("{rest}\n[package.metadata.bareflow]\nexpect = 7\n{more}"), code);
        let output = run(folder.path(), &["test", &format!("./{name}")]);
        assert_code(&output, 0);
        assert_eq!(text(&output).matches("  passed").count(), 2, "{name}\n{}", text(&output));
        assert!(!errors(&output).contains("warning: module"), "{}", errors(&output));
    }
    write_crate(
        &folder.path().join("overlap"),
        "\"critical-section\"",
        "",
        "bareflow_abi::module!(work, reentrant = true);\npub fn work() -> i32 { 7 }\n",
    );
    let output = run(folder.path(), &["build", "./overlap"]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("calls of a reentrant module overlap"), "{}", errors(&output));
}

#[test]
fn the_environment_changes_no_byte_and_flags_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("same");
    write_crate(&path, "", "[package.metadata.bareflow]\nexpect = 7", SEVEN);
    let blob = |variables: &[(&str, &str)]| {
        let _ = fs::remove_dir_all(path.join("target"));
        let output = run_with(folder.path(), &["build", "./same"], variables);
        assert_code(&output, 0);
        (fs::read(path.join("target/modules/same.mod")).unwrap(), errors(&output))
    };
    let (plain, said) = blob(&[]);
    assert_eq!(said, "");
    for variables in [
        [("CARGO_INCREMENTAL", "1"), ("CARGO_BUILD_INCREMENTAL", "true")],
        [("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"), ("CARGO_BUILD_RUSTC_WRAPPER", "/no/such/wrapper")],
        [("RUSTFLAGS", "-Ctarget-cpu=native"), ("CARGO_BUILD_TARGET", "x86_64-unknown-none")],
    ] {
        let (bytes, said) = blob(&variables);
        assert!(bytes == plain, "{variables:?}: other bytes");
        assert_eq!(said.contains("warning: RUSTFLAGS is set aside"), variables[0].0 == "RUSTFLAGS", "{said}");
    }
    fs::create_dir(path.join(".cargo")).unwrap();
    fs::write(path.join(".cargo/config.toml"), "[build]\nincremental = true\nrustc-wrapper = \"/no/such/wrapper\"\n")
        .unwrap();
    assert!(blob(&[]).0 == plain, "the crate's own configuration: other bytes");
    fs::write(path.join(".cargo/config.toml"), "[build]\nrustflags = [\"-Ctarget-cpu=native\"]\n").unwrap();
    let output = run(folder.path(), &["build", "./same"]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("rustflags: \"-Ctarget-cpu=native\", expected --cfg"), "{}", errors(&output));
}

#[test]
fn overflow_is_checked_where_the_crate_or_the_command_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let code = "bareflow_abi::module!(work);\npub fn work() -> i32 { core::hint::black_box(i32::MAX) + core::hint::black_box(4) }\n";
    let wrapped = "[package.metadata.bareflow]\nexpect = -2147483645";
    write_crate(&folder.path().join("sums"), "", wrapped, code);
    assert_code(&run(folder.path(), &["test", "./sums"]), 0);
    let output = run(folder.path(), &["test", "--debug", "./sums"]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("attempt to add with overflow (src/lib.rs:3)"), "{}", errors(&output));
    write_crate(
        &folder.path().join("sums"),
        "",
        &format!("{wrapped}\n\n[profile.release]\noverflow-checks = true"),
        code,
    );
    assert_code(&run(folder.path(), &["test", "./sums"]), 1);
}

#[test]
fn builds_in_any_folder_and_by_any_path() {
    let folder = tempfile::tempdir().unwrap();
    // Below an ordinary package with a folder `modules`, in a folder with a `%`, and as more than one kind of library.
    let (kernel, path) = (folder.path().join("kernel"), folder.path().join("kernel/modules/100%d/net"));
    fs::create_dir_all(&path).unwrap();
    fs::write(kernel.join("Cargo.toml"), "[package]\nname = \"kernel\"\n").unwrap();
    write_crate(
        &path,
        "",
        "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n[package.metadata.bareflow]\nexpect = 7",
        SEVEN,
    );
    let built = |at: &Path, words: &[&str]| {
        let output = run(at, words);
        assert_code(&output, 0);
        assert!(text(&output).contains("/net.mod"), "{}", text(&output));
    };
    built(&path, &["build"]);
    built(&path.join(".."), &["build", "net"]);
    built(&path.join(".."), &["build", "net/Cargo.toml"]);
    std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
    built(folder.path(), &["build", "./link"]);
    let fails = |words: &[&str], at: &Path, expected: &str| {
        let output = run(at, words);
        assert_code(&output, 2);
        assert!(errors(&output).contains(expected), "{words:?}: {}", errors(&output));
    };
    fails(&["build", "./net/src"], &path.join(".."), "no Cargo.toml in ./net/src; the crate around it is ");
    fails(&["new", "foo"], folder.path(), "or `bareflow new --standalone foo`");
    // A workspace without a module.
    let empty = folder.path().join("empty");
    fs::create_dir_all(empty.join("modules")).unwrap();
    fs::write(empty.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\n").unwrap();
    fails(&["build"], &empty, "no module in ");
    fails(&["new", "foo"], &empty, "has no bareflow-abi among its dependencies");
    for version in ["1.0.0-rc.1", "1.0.0+build.5", "4294967296.0.0"] {
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        fs::write(path.join("Cargo.toml"), manifest.replace("0.1.0", version)).unwrap();
        fails(&["build"], &path, &format!("module net: its Cargo.toml: version = \"{version}\""));
        fs::write(path.join("Cargo.toml"), manifest).unwrap();
    }
}

#[test]
fn a_workspace_of_the_users_may_change_its_dependencies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plug");
    write_crate(&path, "", "[package.metadata.bareflow]\nexpect = 7", SEVEN);
    let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap().replace("[workspace]\n", "");
    fs::write(path.join("Cargo.toml"), &manifest).unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"plug\"]\nresolver = \"3\"\n").unwrap();
    assert_code(&run(folder.path(), &["build", "./plug"]), 0);
    fs::write(path.join("Cargo.toml"), manifest.replace("0.1.0", "0.2.0")).unwrap();
    assert_code(&run(folder.path(), &["build", "./plug"]), 0);
}

#[test]
fn what_was_forgotten_is_named_with_the_line_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let allocating = "extern crate alloc;\nbareflow_abi::module!(work);\npub fn work() -> i32 { core::hint::black_box(0..3).collect::<alloc::vec::Vec<i32>>().len() as i32 }\n";
    let talking = "bareflow_abi::module!(work);\npub fn work(context: &mut bareflow_abi::Context<'_>) -> i32 { context.log(\"x\"); 7 }\n";
    for (features, table, code, warning, fault) in [
        (
            "\"alloc\"",
            "",
            allocating,
            "it allocates and declares no heap: set heap = \"64K\" in [package.metadata.bareflow]",
            "heap_budget",
        ),
        (
            "",
            "needs = [\"clock\"]",
            talking,
            "set needs = [\"log\", \"clock\"] in [package.metadata.bareflow]",
            "general_protection",
        ),
        ("\"alloc\"", "stack = \"2M\"", SEVEN, "stack = \"2M\" is above the limit of 1M", ""),
    ] {
        write_crate(
            &folder.path().join("lax"),
            features,
            &format!("[package.metadata.bareflow]\nexpect = 7\n{table}"),
            code,
        );
        let output = run(folder.path(), &["test", "./lax"]);
        let said = errors(&output);
        let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(warnings.len(), 1, "{said}");
        assert!(warnings[0].starts_with("warning: module lax: ") && warnings[0].contains(warning), "{said}");
        let remedy = warning.split_once("set ").map_or("", |(_, line)| line);
        let faults = said
            .lines()
            .filter(|line| !fault.is_empty() && line.contains(&format!("faulted: {fault}")) && line.contains(remedy));
        // There is one line for each domain, or one for both.
        let faults: Vec<_> = faults.collect();
        for domain in ["kernel domain", "user domain"] {
            let told = faults.iter().filter(|line| line.contains(domain)).count();
            assert_eq!(told, usize::from(!fault.is_empty()), "{domain}\n{said}");
        }
    }
    write_crate(&folder.path().join("lax"), "", "[package.metadata.bareflow]\nexpect = 3", allocating);
    let output = run(folder.path(), &["build", "./lax"]);
    assert_code(&output, 1);
    let said = errors(&output);
    assert!(said.contains("\nhelp: a module's allocator is the feature `alloc` of bareflow-abi"), "{said}");
    assert!(!said.contains("never used"), "{said}");
    // Amounts above the limits are available if a command allows them.
    let deep = "bareflow_abi::module!(work);\npub fn work() -> i32 { let room = core::hint::black_box([7_u8; 1_400_000]); i32::from(room[1_000]) }\n";
    write_crate(&folder.path().join("lax"), "", "[package.metadata.bareflow]\nexpect = 7\nstack = \"2M\"", deep);
    let output = run(folder.path(), &["test", "./lax"]);
    assert_code(&output, 1);
    assert!(
        errors(&output).contains("stack_overflow")
            && errors(&output).contains("more than 1M takes `--budget stack=..`"),
        "{}",
        errors(&output)
    );
    assert_code(&run(folder.path(), &["test", "--budget", "stack=2M", "./lax"]), 0);
}

#[test]
fn short_panics_leave_out_what_formats_messages() {
    let folder = tempfile::tempdir().unwrap();
    let code = "bareflow_abi::module!(work);\npub fn work() -> i32 { [1, 2][core::hint::black_box(7)] }\n";
    let built = |features: &str| {
        write_crate(&folder.path().join("brief"), features, "[package.metadata.bareflow]\nexpect = 7", code);
        let output = run(folder.path(), &["test", "./brief"]);
        assert_code(&output, 1);
        (fs::metadata(folder.path().join("brief/target/modules/brief.mod")).unwrap().len(), errors(&output))
    };
    let ((whole, told), (short, kept)) = (built(""), built("\"short-panics\""));
    assert!(told.contains("the len is 2 but the index is 7 (src/lib.rs:3)"), "{told}");
    assert!(kept.contains("a formatted message (src/lib.rs:3)"), "{kept}");
    assert!(short + 500 < whole, "{short} bytes, {whole} with formatting");
}

#[test]
fn engines_are_the_modules_of_their_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let outside = run(folder.path(), &["build", "--engines"]);
    assert_code(&outside, 2);
    workspace(folder.path());
    let without = run(folder.path(), &["build", "--engines"]);
    assert_code(&without, 2);
    assert!(errors(&without).contains("expected the folder `engines` of BareFlow"), "{}", errors(&without));
    let engines = folder.path().join("engines");
    let settings = "[package.metadata.bareflow]\nexpect = 7\ntime = \"2min\"";
    write_crate(&engines.join("compiler"), "", settings, SEVEN);
    // What engines are made of is no module.
    write_crate(&engines.join("parts"), "", "", "");
    let module = folder.path().join("modules/seven");
    write_crate(&module, "", "", SEVEN);
    for member in [engines.join("compiler"), engines.join("parts"), module] {
        let manifest = member.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace("[workspace]\n", "")).unwrap();
    }
    fs::write(engines.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
    let built = run(folder.path(), &["build", "--engines"]);
    assert_code(&built, 0);
    assert!(
        text(&built).contains("target/engines/compiler.mod") && !text(&built).contains("parts"),
        "{}",
        text(&built)
    );
    assert!(folder.path().join("target/engines/compiler.mod").is_file());
    // An engine's limits are its own.
    assert!(!errors(&built).contains("above the limit"), "{}", errors(&built));
    let wrong = run(folder.path(), &["build", "--engines", "parts"]);
    assert_code(&wrong, 2);
    assert!(errors(&wrong).contains("compiler"), "{}", errors(&wrong));
}
