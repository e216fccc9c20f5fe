//! Files and functions stay small enough to be read in one go.

use crate::finding::Finding;
use crate::tree::Tree;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust() {
        let lines = source.code.len();
        if lines > FILE_LINES_MAX {
            let message = format!(
                "{lines} lines, at most {FILE_LINES_MAX}; move one idea (or the tests) into a file \
                 of its own"
            );
            findings.push(Finding::new(&file.path, 0, message));
        }
        for function in source.functions() {
            let lines = function.last - function.first + 1;
            if lines > FUNCTION_LINES_MAX {
                let message = format!(
                    "function {} has {lines} lines, at most {FUNCTION_LINES_MAX}; keep the \
                     decisions and move the work into functions below it",
                    function.name
                );
                findings.push(Finding::new(&file.path, function.first + 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::places;

    #[test]
    fn finds_long_files_and_functions() {
        let long_file = "// line\n".repeat(FILE_LINES_MAX + 1);
        let body = "    work();\n".repeat(FUNCTION_LINES_MAX - 1);
        let long_function = format!("fn fits() {{}}\nfn long() {{\n{body}}}\n");
        let tree = Tree::of(&[
            ("a.rs", &long_file),
            ("b.rs", &long_function),
            ("c.rs", &"// line\n".repeat(FILE_LINES_MAX)),
            ("d.md", &long_file),
        ]);
        assert_eq!(places(&check(&tree)), [("a.rs", 0), ("b.rs", 2)]);
    }
}
