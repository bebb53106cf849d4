//! The examples of the workspace: see the other files of this folder.
