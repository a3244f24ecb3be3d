package slack

import (
	"cmp"
	"context"
	"slices"
	"time"

	"deputy/authz"
	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

// File is a file or a canvas, with as much of its text as Slack tells beside
// it. The bytes themselves are on another host, to which no token goes.
type File struct {
	ID        string   `json:"file_id"`
	Name      string   `json:"name,omitempty"`
	Title     string   `json:"title,omitempty"`
	Type      string   `json:"type,omitempty"`
	Size      int      `json:"size,omitempty"`
	Created   string   `json:"created,omitempty"`
	User      string   `json:"user,omitempty"`
	UserID    string   `json:"user_id,omitempty"`
	Elsewhere bool     `json:"elsewhere,omitempty" jsonschema:"Kept outside Slack."`
	External  bool     `json:"external,omitempty" jsonschema:"Shared with another organisation."`
	Channels  []string `json:"channels,omitempty"`
	Text      string   `json:"text,omitempty"`
	Part      bool     `json:"partial,omitempty" jsonschema:"There is more than text shows."`

	team   string
	shared []Channel
}

func (f File) Object() authz.Object { return fileObject(f.team, f.ID) }

// Facts say where a file was shared; one that was not is in the workspace.
func (f File) Facts(account authz.Object) authz.Facts {
	if len(f.shared) == 0 {
		return where(account, f.Object())
	}
	var facts authz.Facts
	for _, c := range f.shared {
		facts = append(append(facts, c.Facts(account)...), f.Object().Is("place", c.Object()))
	}
	return facts
}
func (f File) Label() authz.Label {
	return authz.Label{Integrity: authz.Untrusted, Confidentiality: authz.Private}
}

type readFileInput struct {
	FileID string `json:"file_id" audit:"plain"`
}

func (n *names) readFile() tools.Tool {
	return tools.Read(tools.Spec{
		Name:   "slack_read_file",
		Title:  "Read a Slack file",
		Doc:    "A file's or canvas's details, and its text where Slack tells it.",
		Scopes: slices.Concat(see, []string{"files:read", "users:read"}),
		Effect: tools.Reads,
	}, n.fileOf)
}

// maxFileText is in characters; maxShares are the channels that are asked
// about, beyond which a file is taken to be in any kind of channel.
const maxFileText, maxShares = 20_000, 20

func (n *names) fileOf(ctx context.Context, a *tools.Account, in readFileInput) (tools.Found[File], error) {
	var none tools.Found[File]
	if err := checkFile(in.FileID); err != nil {
		return none, err
	}
	var answer fileAnswer
	err := a.Get(ctx, tools.Path("/files.info").With("file", in.FileID).String(), &answer)
	w := answer.File
	if missing(err) || err == nil && w.ID != in.FileID {
		n.of(ctx, a, nil) // what does not exist takes as long as what is withheld
		return none, nil
	}
	if err != nil {
		return none, err
	}
	team, _ := whose(a.Name())
	f := File{
		ID: w.ID, Name: line(w.Name), Title: line(unescape(w.Title)), Type: line(w.PrettyType), Size: w.Size,
		UserID: w.User, Elsewhere: w.IsExternal, team: team,
	}
	if w.Created > 0 {
		f.Created = time.Unix(w.Created, 0).UTC().Format(time.RFC3339)
	}
	text := cmp.Or(answer.Content, w.PlainText)
	f.Part = answer.IsTruncated || text == ""
	if text == "" {
		text = cmp.Or(w.PreviewText, w.Preview)
	}
	f.Text = cut(text, maxFileText)
	f.Part = f.Part && w.Size > 0 || f.Text != text

	var known map[string]string
	f.shared, known, err = n.shares(ctx, a, w)
	if err != nil {
		return none, err
	}
	f.User = cmp.Or(known[w.User], w.User)
	for _, c := range f.shared {
		f.Channels = append(f.Channels, c.ID)
		f.External = f.External || c.External
	}
	return tools.Items(f), nil
}

// shares asks for the channels a file is in and for its owner's name, at once.
// A channel that Slack does not tell, or that is one too many, is of all kinds.
func (n *names) shares(ctx context.Context, a *tools.Account, w wireFile) ([]Channel, map[string]string, error) {
	team, _ := whose(a.Name())
	ids := slices.DeleteFunc(slices.Concat(w.Channels, w.Groups, w.IMs), func(id string) bool { return !channelID.MatchString(id) })
	channels := make([]Channel, len(ids))
	var all errgroup.Group
	for i, id := range ids {
		channels[i] = Channel{ID: id, team: team, kind: anyKind}
		if i >= maxShares {
			continue
		}
		all.Go(func() error {
			in, err := channelInfo(ctx, a, id)
			if err == nil && in.ID == id {
				channels[i] = channelOf(team, in)
			} else if missing(err) {
				return nil
			}
			return err
		})
	}
	known := n.of(ctx, a, []string{w.User})
	return channels, known, all.Wait()
}
