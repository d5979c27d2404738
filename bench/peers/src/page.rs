//! A page with one section for each processor, which keeps the others' when one is measured anew.

/// Returns the name of a processor as that of a file.
pub fn file_name(processor: &str) -> String {
    let words = processor.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Returns a document as a section of a page, headed by `title`: its own headings are two levels lower.
pub fn section(title: &str, document: &str) -> String {
    let lines = document.trim_end().lines();
    let lines = lines.map(|line| format!("{}{line}\n", if line.starts_with('#') { "##" } else { "" }));
    format!("## {title}\n\n{}", lines.collect::<String>())
}

/// Returns `page` with `section` in place of the one whose heading is `title`, or behind all others.
pub fn replace(page: &str, title: &str, section: &str) -> String {
    let heading = format!("## {title}\n");
    let Some(start) = page.find(&heading) else { return format!("{}\n\n{section}", page.trim_end()) };
    let (before, old) = page.split_at(start);
    let behind = old.find("\n## ").map_or("", |end| &old[end..]);
    format!("{before}{section}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Performance\n\n## A 1\n\nold\n\n### Loads\n\n1\n\n## B 2\n\nother\n";

    #[test]
    fn replaces_the_section_of_a_processor_and_keeps_the_others() {
        let section = section("A 1", "new\n\n# Loads\n\n2\n\n");
        assert_eq!(section, "## A 1\n\nnew\n\n### Loads\n\n2\n");
        let replaced = replace(PAGE, "A 1", &section);
        assert_eq!(replaced, format!("# Performance\n\n{section}\n## B 2\n\nother\n"));
        assert_eq!(replace(&replaced, "B 2", "## B 2\n\nnewer\n"), replaced.replace("other", "newer"));
    }

    #[test]
    fn adds_a_section_behind_the_others() {
        assert!(replace(PAGE, "C 3", "## C 3\n").ends_with("other\n\n## C 3\n"));
        assert_eq!(file_name("AMD EPYC, family 25, model 17"), "amd-epyc-family-25-model-17");
    }
}
