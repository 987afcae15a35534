// Package access says who asks, for which tenant, and what that caller may do;
// and it keeps small secrets sealed.
//
// Owns: tenants, users, tokens, roles and who has
// them, and the audit of every change to these. It tells and hears nothing.
//
//	request ──Bearer token──> Guard.Authenticate ──> Caller{Tenant, Actor, Allow(api, kind, verb)}
//	                             │ cache (seconds)       │
//	POST login ──argon2id──> session token               └─> kit/tmf asks Allow before each verb
//	POST tokens ───────────> API token        (both kept as SHA-256 only)
//
// # Rules
//
//   - A token belongs to one tenant, and a caller sees that tenant only. The one
//     exception is the superuser's token of the configuration, which names its
//     tenant with the header Tandem-Tenant.
//   - A permission is (API or *, kind or *, verbs or *); roles are lists of
//     permissions. Nobody gives away, or changes a holder of, more than he has.
//   - No secret is kept in the clear, written to the audit or logged: passwords
//     are hashed, tokens are shown once, and the name typed at a failed login,
//     which may be a password in the wrong field, is kept as a digest only.
//   - What is revoked is revoked at once on the node that did it, and on the
//     others as soon as their cache forgets it ([Config].Cache).
package access
