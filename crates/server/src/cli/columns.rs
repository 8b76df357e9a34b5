//! Aligned columns in the text that commands print.

/// Formats the rows, one per line, with aligned columns.
pub(super) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [_; COLUMNS] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [["who", "why"], ["Jürgen", ""], ["x", "left"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "who     why\nJürgen\nx       left\n");
        assert_eq!(aligned::<2>(&[]), "");
    }
}
