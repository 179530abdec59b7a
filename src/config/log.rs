//! `logging`: how much is logged and in which form.

use super::reader::Section;

/// `logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// `logging.level`. Default `INFO`.
    pub level: LogLevel,
    /// `logging.format`. Default `text`.
    pub format: LogFormat,
}

/// The least important level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Every step.
    Debug,
    /// What happened to each mirror.
    Info,
    /// What is odd but handled.
    Warn,
    /// What a human must look at.
    Error,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Logging { level: LogLevel::Info, format: LogFormat::Text }
    }
}

const LEVELS: [(&str, LogLevel); 4] =
    [("DEBUG", LogLevel::Debug), ("INFO", LogLevel::Info), ("WARN", LogLevel::Warn), ("ERROR", LogLevel::Error)];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

impl LogLevel {
    /// The word of the setting.
    pub fn word(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("INFO", |(word, _)| word)
    }
}

impl LogFormat {
    /// The word of the setting.
    pub fn word(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("text", |(word, _)| word)
    }
}

/// Reads the section `logging`.
pub(super) fn read(section: &Section<'_>) -> Logging {
    let default = Logging::default();
    Logging {
        level: section.choice("level", &LEVELS).unwrap_or(default.level),
        format: section.choice("format", &FORMATS).unwrap_or(default.format),
    }
}
