//! Named points of a move at which a test build kills itself, as `kill -9` would.
//!
//! Without the cargo feature `failpoints` the macro expands to nothing.

/// Every point, in the order in which one move meets them.
pub const ALL: [&str; 12] = [
    "after-decide",
    "after-intent-commit",
    "before-send",
    "after-send-before-reply",
    "after-accepted-before-persist",
    "after-accepted-persisted",
    "before-insync",
    "after-insync-persisted",
    "before-notice-send",
    "after-notice-sent-before-done",
    "after-lock",
    "after-burn-sent",
];

/// Dies here when `FAILOVERD_FAILPOINT` names this point.
macro_rules! failpoint {
    ($name:literal) => {{
        const _: () = assert!($crate::runtime::failpoint::is_known($name), "not in failpoint::ALL");
        #[cfg(feature = "failpoints")]
        $crate::runtime::failpoint::reach($name);
    }};
}
pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    if std::env::var("FAILOVERD_FAILPOINT").is_ok_and(|wanted| wanted == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[doc(hidden)]
pub const fn is_known(name: &str) -> bool {
    let mut rest: &[&str] = &ALL;
    while let [first, tail @ ..] = rest {
        if same(first.as_bytes(), name.as_bytes()) {
            return true;
        }
        rest = tail;
    }
    false
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    loop {
        match (a, b) {
            ([], []) => return true,
            ([x, xs @ ..], [y, ys @ ..]) if *x == *y => (a, b) = (xs, ys),
            _ => return false,
        }
    }
}
