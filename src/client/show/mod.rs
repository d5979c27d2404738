//! Responses as text.

pub mod compare;
pub mod modules;
pub mod receipt;
pub mod stats;

use comfy_table::{CellAlignment, Row, Table, presets};

/// Formats a count: "1 page", "2 pages".
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Formats rows below their titles; the columns in `right` are right-aligned.
#[must_use]
pub fn aligned(titles: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).add_row(titles);
    table.add_rows(rows.into_iter().map(Row::from));
    for (index, column) in table.column_iter_mut().enumerate() {
        // Two blanks between columns, none before the first.
        column.set_padding((if index == 0 { 0 } else { 2 }, 0));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_and_leaves_no_blanks_behind() {
        let rows = [vec!["sum".to_owned(), "7".to_owned(), "x".to_owned()]];
        assert_eq!(aligned(&["NAME", "CALLS", "STATE"], &[1], rows), "NAME  CALLS  STATE\nsum       7  x");
    }
}
