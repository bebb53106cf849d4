//! `Debug` for types whose content speaks of a patient: their name, and that the rest is hidden.

macro_rules! hide_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )*};
}

pub(crate) use hide_debug;
