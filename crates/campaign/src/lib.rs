//! Audiences and the other rules that plan decides with and the API previews with.
