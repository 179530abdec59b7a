//! What lakemirror's API does, and which lakeFS permissions each needs: the one table.

/// Something that a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Making a mirror.
    CreateMirror {
        /// The mirror repository's name.
        mirror: &'a str,
        /// The source repository's name.
        source: &'a str,
        /// The mirror's storage namespace, as a URI.
        namespace: &'a str,
    },
    /// Changing which branches a mirror has.
    EditBranches {
        /// The source repository's name.
        source: &'a str,
    },
    /// Deleting a mirror.
    DeleteMirror {
        /// The mirror repository's name.
        mirror: &'a str,
    },
    /// Listing mirrors, or reading one.
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
    /// Everything that the caller must be allowed to do. Names from the vendor's public documentation of permissions.
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
