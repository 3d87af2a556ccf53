//! The cookies that an address gives: their names and how far they reach. Two addresses of one host see each other's cookies,
//! so each has names of its own. Over TLS the names say, in a way that browsers know, that no other name of the domain and no
//! script may put one in their place.

/// Of one address.
pub(super) struct Cookies {
    /// Begins all its names.
    pub(super) name: &'static str,
    /// For TLS only.
    pub(super) secure: bool,
}

impl Cookies {
    /// The session's.
    pub(super) fn session(&self) -> String {
        self.named("session")
    }

    /// What tells that a login was begun in this browser.
    pub(super) fn state(&self) -> String {
        self.named("login")
    }

    pub(super) fn session_cookie(&self, id: &str) -> String {
        self.set(&self.session(), id, "Strict")
    }

    pub(super) fn set(&self, name: &str, value: &str, same_site: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; HttpOnly; SameSite={same_site}; Path=/{secure}")
    }

    pub(super) fn gone(&self, name: &str) -> String {
        format!("{}; Max-Age=0", self.set(name, "", "Strict"))
    }

    fn named(&self, what: &str) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}{}_{what}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_alone_and_over_tls_for_tls_alone() {
        let cookies = |secure| Cookies { name: "orchestrator", secure };
        let plain = "orchestrator_session=id; HttpOnly; SameSite=Strict; Path=/";
        assert_eq!(cookies(false).session_cookie("id"), plain);
        assert_eq!(cookies(true).session_cookie("id"), format!("__Host-{plain}; Secure"));
        let gone = "orchestrator_login=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0";
        assert_eq!(cookies(false).gone("orchestrator_login"), gone);
    }
}
