//! Settings with a fixed set of values.

/// Which variables that execute something a gateway may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowHooks {
    #[default]
    No,
    Yes,
    /// These names alone, in lower case.
    Names(Vec<String>),
}

/// What is done about a switch that doesn't run what Redis wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReconcileMode {
    #[default]
    Apply,
    Observe,
    Off,
}

impl ReconcileMode {
    /// As the settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `Human` on a terminal, `Json` anywhere else.
    #[default]
    Auto,
    Human,
    Json,
}
