// A note for documents whose runs are older than the present default loss. Remove it from a document when its
// bench has run again.
export const formerLoss =
  "The models of these runs have the former default loss (the distance summed over types, with weights of " +
  "2 and 50) and a latent space of 10.";
