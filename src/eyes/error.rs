//! What can be wrong with the model or a frame.

/// Why nothing could be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EyesError {
    /// The model has another length than the one that was measured.
    #[error("the face model has {got} bytes instead of {expected}")]
    ModelLength {
        /// Bytes that are there.
        got: usize,
        /// Bytes of the model.
        expected: usize,
    },
    /// The model's bytes are not those that were measured.
    #[error("the face model is damaged: its SHA-256 is not the expected one")]
    ModelDamaged,
    /// A size or stride that no frame has.
    #[error("impossible frame {width}x{height}, stride {stride}")]
    Layout {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes from row to row.
        stride: u32,
    },
    /// Fewer bytes than the frame needs.
    #[error("a frame of {got} bytes, {needed} needed")]
    Short {
        /// Bytes that are there.
        got: usize,
        /// Bytes of a whole frame.
        needed: usize,
    },
}

impl EyesError {
    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ModelLength { .. } | Self::ModelDamaged => {
                "install latchd again: the program file is damaged or was changed"
            }
            Self::Layout { .. } | Self::Short { .. } => {
                "choose another format or size of the camera with `latchd camera list`"
            }
        }
    }
}
