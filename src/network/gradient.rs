//! The loss of a forward pass and its gradient, for inspecting a program. Training has its own step.

use spiq_hlo::{DType, Function, TensorType, value_and_grad};

use super::Forward;
use crate::error::Result;
use crate::nn::{self, Axes};
use crate::signature::{Role, Signature};

impl Forward {
    /// The loss of this pass (integral cross-entropy) and its gradient, as a function: it takes the pass's inputs and labels `s32[B]`, and
    /// returns the loss and the gradient of each parameter.
    ///
    /// # Errors
    /// Of kind `Graph`: traces that are not [T, B, C].
    pub fn gradient(&self) -> Result<Function> {
        let batch = self.signature.of(Role::X).find_map(|x| x.ty.dims.get(1).copied()).unwrap_or_default();
        let labels = TensorType::new(DType::S32, [batch]);
        let inputs = Signature::default().taking(self.signature.inputs()).with(Role::Given, [("labels", labels)]);
        let (function, _) = inputs.trace(|given| {
            let (all, x, labels) = (given.all(), given.only(Role::X), given.only(Role::Given));
            let (loss, grads) = value_and_grad(&given.of(Role::Parameter), |params| {
                let given = all.clone().into_iter().chain(params.clone()).collect();
                let pass = self.call(&given, x);
                nn::integral_crossentropy(&pass.only(Role::Traces).named("T B C"), &labels.named("B"))
            });
            vec![(Role::Loss, [("loss".to_owned(), loss)].into()), (Role::Gradient, grads)]
        })?;
        Ok(function)
    }
}
