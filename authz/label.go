package authz

// Integrity says whether a text was written by someone the user trusts.
type Integrity string

// Confidentiality says who could have read a text before.
type Confidentiality string

const (
	Trusted   Integrity = "trusted"
	Untrusted Integrity = "untrusted"

	Public  Confidentiality = "public"
	Private Confidentiality = "private"
)

// Label is what is known about the flow of a text: one label for one whole
// result. The zero Label is trusted and public, as an empty result is.
type Label struct {
	Integrity       Integrity       `json:"integrity"`
	Confidentiality Confidentiality `json:"confidentiality"`
}

// Join is the label of two texts put together: as untrusted and as private as
// either. It is commutative, associative and idempotent.
func (l Label) Join(m Label) Label {
	j := Label{Trusted, Public}
	if l.Integrity == Untrusted || m.Integrity == Untrusted {
		j.Integrity = Untrusted
	}
	if l.Confidentiality == Private || m.Confidentiality == Private {
		j.Confidentiality = Private
	}
	return j
}

func (l Label) String() string {
	l = l.Join(Label{}) // names for the zero values
	return string(l.Integrity) + "/" + string(l.Confidentiality)
}
