//! A table, as text or Markdown.

/// A table with its first column flush left and the others flush right.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these headings.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned).into()],
        }
    }

    /// Adds a row.
    pub(crate) fn push<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// Returns the table as text, aligned by spaces.
    pub(crate) fn text(&self) -> String {
        let plain = |cell: &String| cell.replace(['*', '`'], "");
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self
                .rows
                .iter()
                .map(|row| plain(&row[column]).chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let (cell, width) = (plain(cell), widths[column]);
                text += &match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }

    /// Returns the table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text += &format!("| {} |\n", row.join(" | "));
            if number == 0 {
                text += &format!("|---|{}\n", "--:|".repeat(row.len() - 1));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_table_is_aligned_as_text_and_marked_up_as_markdown() {
        let mut table = Table::new(["", "µs"]);
        table.push(["**ours**".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.text(), "         µs\nours  1,000\n");
        assert_eq!(
            table.markdown(),
            "|  | µs |\n|---|--:|\n| **ours** | 1,000 |\n"
        );
    }
}
