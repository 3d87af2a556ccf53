//! Whose control group it is, by its name. Pure.

/// What a control group holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// One program: a service, a container.
    One,
    /// Several that have nothing to do with each other: what it uses is nobody's in particular.
    Many,
    /// A container engine itself. What listens here is its port proxy; the program is in a container elsewhere.
    Engine,
}

/// Beginning and end of the names of engines' own control groups.
const ENGINES: [(&str, &str); 7] = [
    ("docker", ".service"),
    ("snap.docker.", ".service"),
    ("containerd", ".service"),
    ("crio", ".service"),
    ("podman", ".service"),
    ("podman", ".scope"),
    ("libpod-conmon-", ".scope"),
];

/// Beginning and end of the names of control groups in which people and timers start what they like.
const GATHERINGS: [(&str, &str); 13] = [
    ("", ".slice"),
    ("init", ".scope"),
    ("session-", ".scope"),
    ("user@", ".service"),
    ("ssh", ".service"),
    ("cron", ".service"),
    ("atd", ".service"),
    ("rc-local", ".service"),
    ("supervisor", ".service"),
    ("getty@", ".service"),
    ("serial-getty@", ".service"),
    // A desktop's programs, terminals among them.
    ("app-", ".service"),
    ("gnome-terminal-server", ".service"),
];

/// Beginnings of the scopes below a user's slice that hold one program: containers and `systemd-run`. All others are
/// a desktop's, with terminals among them.
const LONE_USER_SCOPES: [&str; 4] = ["docker-", "libpod-", "nerdctl-", "run-"];

/// What the control group at this path below the hierarchy's root holds.
pub(super) fn of(path: &str) -> Ownership {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_among = |names: &[(&str, &str)]| {
        names.iter().any(|(start, end)| name.starts_with(start) && name.ends_with(end))
    };
    let is_desktops = path.contains("user.slice/")
        && name.ends_with(".scope")
        && !LONE_USER_SCOPES.iter().any(|start| name.starts_with(start));
    if is_among(&ENGINES) {
        Ownership::Engine
    } else if name.is_empty() || is_among(&GATHERINGS) || is_desktops {
        Ownership::Many
    } else {
        Ownership::One
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_is_one_programs_or_is_not_told_of() {
        let user = "/user.slice/user-1000.slice/user@1000.service";
        let cases = [
            ("/", Ownership::Many),
            ("/system.slice/comfyui.service", Ownership::One),
            ("/system.slice/system-comfyui.slice/comfyui@0.service", Ownership::One),
            ("/system.slice/system-comfyui.slice", Ownership::Many),
            (&format!("{user}/app.slice/comfyui.service"), Ownership::One),
            (&format!("{user}/app.slice/run-r12.scope"), Ownership::One),
            (&format!("{user}/user.slice/libpod-12ab.scope"), Ownership::One),
            (&format!("{user}/user.slice/libpod-conmon-12ab.scope"), Ownership::Engine),
            (&format!("{user}/app.slice/app-org.kde.konsole-12.scope"), Ownership::Many),
            (&format!("{user}/app.slice/app-org.kde.konsole-12.scope/tab(13).scope"), Ownership::Many),
            (&format!("{user}/app.slice/vte-spawn-12.scope"), Ownership::Many),
            (&format!("{user}/tmux-spawn-12.scope"), Ownership::Many),
            (user, Ownership::Many),
            ("/user.slice/user-1000.slice/session-3.scope", Ownership::Many),
            ("/init.scope", Ownership::Many),
            ("/system.slice/ssh.service", Ownership::Many),
            ("/system.slice/sshd.service", Ownership::Many),
            ("/system.slice/docker.service", Ownership::Engine),
            ("/system.slice/snap.docker.dockerd.service", Ownership::Engine),
            ("/system.slice/containerd.service", Ownership::Engine),
            ("/system.slice/containerd.service/kubepods-pod1:cri-containerd:12ab", Ownership::One),
            ("/system.slice/podman.service", Ownership::Engine),
            ("/system.slice/docker-12ab.scope", Ownership::One),
            ("/docker/12ab", Ownership::One),
            ("/kubepods/burstable/pod1/12ab", Ownership::One),
        ];
        for (path, expected) in cases {
            assert_eq!(of(path), expected, "{path}");
        }
    }
}
