//! Columns of text.

/// Lays rows out in columns, two spaces apart, as wide as their widest cell; the last column is not padded.
pub fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() {
        let rows = [["POOL", "GRADE"], ["web-fra", "healthy"], ["é", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(columns(&rows), "POOL     GRADE\nweb-fra  healthy\né\n");
        assert_eq!(columns(&[]), "");
    }
}
