//! What this login may do on the whole server, by its own `SHOW GRANTS`.

use rsqoop_connector::Result;

use crate::error::{self, Phase};
use crate::wire::Conn;

/// Global and schema privileges as the server lists them.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// Privileges and the place they hold for, both in upper case.
    lines: Vec<(String, String)>,
    /// A role is granted, whose privileges may not be listed.
    roles: bool,
}

impl Grants {
    pub(super) fn of(conn: &mut Conn) -> Result<Grants> {
        let rows = conn.rows("SHOW GRANTS").map_err(|f| error::statement(f, Phase::Run))?;
        let lines: Vec<String> =
            rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        Ok(Grants::parse(&lines))
    }

    fn parse(lines: &[String]) -> Grants {
        let mut grants = Grants::default();
        for line in lines {
            let Some(rest) = line.strip_prefix("GRANT ") else { continue };
            let on = rest.find(" ON ").filter(|on| rest[*on..].contains(" TO "));
            match on {
                Some(on) => {
                    let place = &rest[on + 4..];
                    let end = place.find(" TO ").unwrap_or(place.len());
                    grants.lines.push((rest[..on].to_uppercase(), place[..end].to_uppercase()));
                }
                None => grants.roles = true,
            }
        }
        grants
    }

    /// Whether a privilege holds everywhere.
    pub(super) fn global(&self, privilege: &str) -> bool {
        self.lines.iter().any(|(list, place)| place == "*.*" && holds(list, privilege))
    }

    /// Whether a privilege holds at least somewhere.
    pub(super) fn somewhere(&self, privilege: &str) -> bool {
        self.lines.iter().any(|(list, _)| holds(list, privilege))
    }

    /// Whether more may be allowed than is listed.
    pub(super) fn roles(&self) -> bool {
        self.roles
    }
}

fn holds(list: &str, privilege: &str) -> bool {
    list.split(',').map(str::trim).any(|p| p == privilege || p.starts_with("ALL PRIVILEGES"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_of_both_servers() {
        let grants = |lines: &[&str]| {
            Grants::parse(&lines.iter().map(|l| (*l).to_string()).collect::<Vec<_>>())
        };
        let g = grants(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]);
        assert!(g.global("RELOAD") && !g.roles());
        let g = grants(&[
            "GRANT USAGE ON *.* TO `u`@`%`",
            "GRANT SELECT, LOCK TABLES ON `d`.* TO `u`@`%`",
        ]);
        assert!(!g.global("LOCK TABLES") && g.somewhere("LOCK TABLES") && !g.global("RELOAD"));
        let g =
            grants(&["GRANT FLUSH_TABLES,PROCESS ON *.* TO `u`@`%`", "GRANT `r`@`%` TO `u`@`%`"]);
        assert!(g.global("FLUSH_TABLES") && g.roles());
    }
}
