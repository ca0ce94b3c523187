//! Which names in a statement's text may be tables or functions.
//!
//! Finds too many rather than too few: a table can only be named after `FROM`, `JOIN`, `TABLE`, `OJ`,
//! a comma, or an opening parenthesis, and everything that stands there is a candidate. The
//! catalogue says which of them exist. Deliberately no parser: one that misunderstood a statement
//! would miss a table.

use std::collections::BTreeSet;

/// A name with its schema, where one is given.
pub(super) type Name = (Option<String>, String);

/// What a text may name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) tables: BTreeSet<Name>,
    pub(super) functions: BTreeSet<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Dot,
    Comma,
    Open,
    Other,
}

/// Candidates in a statement.
pub(super) fn find(sql: &str) -> Names {
    let tokens = tokens(sql);
    let mut names = Names::default();
    let mut at = 0;
    while at < tokens.len() {
        if word(&tokens[at]).is_none() {
            at += 1;
            continue;
        }
        let (parts, end) = dotted(&tokens, at);
        let called = tokens.get(end) == Some(&Token::Open);
        let first = parts[0].clone();
        if called {
            names.functions.insert(match parts.get(1) {
                Some(second) => (Some(first.clone()), second.clone()),
                None => (None, first.clone()),
            });
        }
        if at > 0 && opens(&tokens[at - 1]) {
            if let Some(second) = parts.get(1) {
                names.tables.insert((Some(first.clone()), second.clone()));
            }
            names.tables.insert((None, first));
        }
        at = end;
    }
    names
}

/// A name of one or more parts, and the index after it.
fn dotted(tokens: &[Token], start: usize) -> (Vec<String>, usize) {
    let mut parts = Vec::new();
    let mut at = start;
    while let Some(part) = tokens.get(at).and_then(word) {
        parts.push(part.to_string());
        at += 1;
        if tokens.get(at) != Some(&Token::Dot) || tokens.get(at + 1).and_then(word).is_none() {
            break;
        }
        at += 1;
    }
    (parts, at)
}

fn word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(text) | Token::Quoted(text) => Some(text),
        _ => None,
    }
}

/// Whether a table may follow.
fn opens(token: &Token) -> bool {
    match token {
        Token::Comma | Token::Open => true,
        Token::Word(text) => ["from", "join", "straight_join", "table", "oj"]
            .iter()
            .any(|keyword| text.eq_ignore_ascii_case(keyword)),
        _ => false,
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    let chars: Vec<char> = sql.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        match chars[at] {
            c if c.is_whitespace() => at += 1,
            '#' => at = line_end(&chars, at),
            '-' if next == Some('-') && chars.get(at + 2).is_none_or(|c| c.is_whitespace()) => {
                at = line_end(&chars, at);
            }
            '/' if next == Some('*') => at = comment(&chars, at),
            '`' => {
                let (text, end) = quoted(&chars, at, false);
                out.push(Token::Quoted(text));
                at = end;
            }
            '\'' | '"' => {
                at = quoted(&chars, at, true).1;
                out.push(Token::Other);
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii() => {
                let start = at;
                while chars
                    .get(at)
                    .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
                {
                    at += 1;
                }
                out.push(Token::Word(chars[start..at].iter().collect()));
            }
            c => {
                out.push(match c {
                    '.' => Token::Dot,
                    ',' => Token::Comma,
                    '(' => Token::Open,
                    _ => Token::Other,
                });
                at += 1;
            }
        }
    }
    out
}

fn line_end(chars: &[char], start: usize) -> usize {
    chars[start..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| start + n)
}

/// The end of a comment, or only of its head where the server runs what is inside.
fn comment(chars: &[char], start: usize) -> usize {
    let inside = start + 2;
    let marked = match chars.get(inside..) {
        Some(['!', ..]) => Some(inside + 1),
        Some(['M', '!', ..]) => Some(inside + 2),
        _ => None,
    };
    if let Some(mut at) = marked {
        while chars.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
        }
        return at;
    }
    let mut at = inside;
    while at < chars.len() {
        if chars[at] == '*' && chars.get(at + 1) == Some(&'/') {
            return at + 2;
        }
        at += 1;
    }
    chars.len()
}

/// What stands between two quotes of one kind, and the index after them.
fn quoted(chars: &[char], start: usize, backslash: bool) -> (String, usize) {
    let quote = chars[start];
    let mut text = String::new();
    let mut at = start + 1;
    while at < chars.len() {
        let c = chars[at];
        if c == '\\' && backslash {
            at += 2;
            continue;
        }
        if c == quote {
            if chars.get(at + 1) != Some(&quote) {
                return (text, at + 1);
            }
            at += 1;
        }
        text.push(c);
        at += 1;
    }
    (text, chars.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(sql: &str) -> Vec<String> {
        find(sql)
            .tables
            .into_iter()
            .map(|(schema, name)| schema.map_or_else(|| name.clone(), |s| format!("{s}/{name}")))
            .collect()
    }

    #[test]
    fn no_table_is_missed() {
        for (sql, want) in [
            ("SELECT a FROM t WHERE $CONDITIONS", vec!["t"]),
            ("select * from`a b`.`t``x`", vec!["a b/t`x"]),
            ("SELECT x FROM a JOIN b ON a.i = b.i LEFT JOIN d.c USING (i)", vec!["a", "b", "d/c"]),
            ("SELECT x FROM a, b c, d . e", vec!["a", "b", "d/e"]),
            ("SELECT x FROM ((a CROSS JOIN b))", vec!["a", "b"]),
            ("SELECT x FROM { OJ a LEFT OUTER JOIN b ON 1 }", vec!["a", "b"]),
            ("SELECT 'FROM s', \"FROM s\" FROM /* FROM c */ t -- FROM d\n# FROM e\n", vec!["t"]),
            ("SELECT x FROM /*!40000 t */ WHERE 1", vec!["t"]),
            ("SELECT x FROM t STRAIGHT_JOIN u WHERE EXISTS (TABLE v)", vec!["t", "u", "v"]),
            ("SELECT 'it''s', 'a\\'b' FROM t", vec!["t"]),
            (
                "WITH q AS (SELECT 1 FROM t) SELECT x FROM q UNION SELECT 1 FROM größe",
                vec!["t", "größe"],
            ),
        ] {
            let got = tables(sql);
            for name in want {
                let short = name.to_string();
                assert!(got.contains(&short), "{sql}: {got:?} without {name}");
            }
            assert!(!got.iter().any(|n| n == "s" || n == "e"), "{sql}: {got:?}");
        }
    }

    #[test]
    fn functions_are_what_is_called() {
        let names = find("SELECT f(x), d.g (y), count(*) FROM t WHERE a IN (1)");
        let has = |schema: Option<&str>, name: &str| {
            names.functions.contains(&(schema.map(str::to_string), name.to_string()))
        };
        assert!(has(None, "f") && has(Some("d"), "g") && !has(None, "x"));
    }
}
