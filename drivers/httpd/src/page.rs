//! The page, with the policy that lets its own style and script run and nothing else.

/// The page.
pub const PAGE: &str = include_str!("page.html");

/// The policy: nothing from elsewhere, and of what is in the page only what has these SHA-256 sums.
pub const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-TWcULcUyMf9YeQiHywA6csT3G0hM9Zd+NFuJjNPUW0g='; \
    script-src 'sha256-IytyWpw5fyQHyOts0p7A26RmIjoeK5i4dIRScoXtVtw='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    /// Returns what is in the only element of a name.
    fn element(name: &str) -> &'static str {
        let (_, rest) = PAGE.split_once(&format!("<{name}>")).unwrap();
        let (inside, rest) = rest.split_once(&format!("</{name}>")).unwrap();
        assert!(!rest.contains(&format!("<{name}")));
        inside
    }

    #[test]
    fn the_policy_has_the_sums_of_style_and_script() {
        for name in ["style", "script"] {
            let sum = STANDARD.encode(Sha256::digest(element(name)));
            let source = format!("{name}-src 'sha256-{sum}'");
            assert!(POLICY.contains(&source), "POLICY in page.rs needs: {source}");
        }
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere_and_no_name_is_taken_as_markup() {
        for text in ["//", "innerHTML", "insertAdjacent", "document.write", "eval(", " style=", " onclick", "@import"] {
            let found = PAGE.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(text), "{text}");
        }
        assert!(PAGE.contains("<noscript>"));
    }
}
