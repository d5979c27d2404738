//! The source of a new module.

use anyhow::{Result, bail, ensure};
use bareflow_loader::Name;

/// Keywords of the 2024 edition, which can't be function names, and the crates that come with the compiler.
const RESERVED: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super trait true try type typeof unsafe unsized use virtual where while yield alloc core proc_macro std test";

/// Checks that a module can be called `name`, and its function likewise.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if Name::new(name).is_none() || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let rule = "expected a letter, then a-z, 0-9, _ and -, at most 31 in all";
        bail!("\"{name}\" can't be a module's name: {rule}");
    }
    if RESERVED.split_whitespace().any(|word| word == name.replace('-', "_")) {
        bail!("\"{name}\" can't be a module's name: Rust keeps it for itself; choose another");
    }
    ensure!(
        name != "bareflow-abi",
        "\"{name}\" can't be a module's name: every module needs the crate of that name; choose another"
    );
    Ok(())
}

/// Returns the source of a module called `name`.
pub(crate) fn source_text(name: &str) -> String {
    let function = name.replace('-', "_");
    format!(
        r#"//! The module {name}.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::module!({function});

/// Copies the input to the output and returns how many bytes that were.
pub fn {function}(context: &mut Context<'_>) -> i32 {{
    context.log("{name} runs");
    let mut count = 0;
    while let Some(&byte) = context.input().get(count) {{
        if context.write(&[byte]) == 0 {{
            break;
        }}
        count += 1;
    }}
    i32::try_from(count).unwrap_or(i32::MAX)
}}

#[cfg(test)]
mod tests {{
    use bareflow_abi::{{Context, Services}};

    extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {{}}

    extern "C" fn clock(_: *mut Context<'_>) -> u64 {{
        0
    }}

    #[test]
    fn copies_what_fits() {{
        let services = Services::new(log, clock);
        let mut output = [0; 4];
        let mut context = Context::new(&services, b"hello", &mut output);
        assert_eq!(super::{function}(&mut context), 4);
        assert_eq!(&output, b"hell");
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn rejects_bad_names() {
        for name in ["", "Upper", "9lives", "-x", "a/b", "a-name-of-thirty-two-bytes-is-too"] {
            assert!(check_name(name).unwrap_err().to_string().contains("expected"), "{name}");
        }
        for name in ["loop", "self", "core"] {
            assert!(check_name(name).unwrap_err().to_string().contains("Rust keeps it"), "{name}");
        }
        assert!(check_name("sort-2_x").is_ok());
    }
}
