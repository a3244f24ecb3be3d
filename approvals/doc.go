// Package approvals holds a person's yes to exactly this.
//
// An Action is a provider request as plain bytes, with who asks and for which
// account. Its Digest covers everything that will happen. A write goes through
// the Ledger:
//
//	            ┌── denied            a person said no
//	            ├── expired           nobody said anything: silence is no
//	 pending ───┼── superseded        the agent asked anew with the same key
//	    │       └── revoked           account gone, policy changed
//	    ▼
//	approved ───┬── expired, revoked  not sent in time, or no longer allowed
//	    │
//	    ▼ Permit.Spend: same commit as the audit line
//	  spent ────┬── done              the provider's answer is kept for the caller
//	            └── failed            refused, or the outcome is unknown
//
// A yes is turned into a Permit, which is spent once, and only for an Action
// whose digest, recomputed from the bytes that go out, is the one that was
// approved. What the person read, the Preview, is parsed back from those bytes:
// neither the agent nor a handler words it.
//
// Identical questions join. What was approved is sent by deputy itself, whether
// or not the agent is still there; the outcome waits for the same caller.
package approvals
