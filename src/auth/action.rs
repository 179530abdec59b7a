//! The actions of lakemirror's API, and the lakeFS permissions that each needs: the one table.

/// What a caller requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Create a mirror.
    CreateMirror {
        /// The mirror repository's name.
        mirror: &'a str,
        /// The source repository's name.
        source: &'a str,
        /// The mirror's storage namespace, as a URI.
        namespace: &'a str,
    },
    /// Change which branches a mirror has.
    EditBranches {
        /// The source repository's name.
        source: &'a str,
    },
    /// Delete a mirror.
    DeleteMirror {
        /// The mirror repository's name.
        mirror: &'a str,
    },
    /// List mirrors, or read one.
    ReadMirrors,
}

/// One lakeFS action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Such as `fs:CreateRepository`.
    pub action: &'static str,
    /// Its ARN, or `*`.
    pub resource: String,
}

impl Action<'_> {
    /// The permissions that the caller needs. The names are from the vendor's public documentation of permissions.
    #[must_use]
    pub fn required(&self) -> Vec<Permission> {
        match self {
            Self::CreateMirror { mirror, source, namespace } => vec![
                Permission { action: "fs:CreateRepository", resource: repository(mirror) },
                Permission { action: "fs:MirrorRepository", resource: repository(source) },
                Permission {
                    action: "fs:AttachStorageNamespace",
                    resource: format!("arn:lakefs:fs:::namespace/{namespace}"),
                },
            ],
            Self::EditBranches { source } => {
                vec![Permission { action: "fs:MirrorRepository", resource: repository(source) }]
            }
            Self::DeleteMirror { mirror } => {
                vec![Permission { action: "fs:DeleteRepository", resource: repository(mirror) }]
            }
            Self::ReadMirrors => vec![Permission { action: "fs:ListRepositories", resource: "*".into() }],
        }
    }
}

fn repository(name: &str) -> String {
    format!("arn:lakefs:fs:::repository/{name}")
}
