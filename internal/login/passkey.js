// The one script there is: it asks the browser for a passkey and sends what
// the browser answers with the form it belongs to.
'use strict';

for (const form of document.querySelectorAll('form.passkey')) {
  const trouble = form.querySelector('[role=alert]');
  const say = (text) => {
    trouble.textContent = text;
    trouble.hidden = false;
  };
  form.hidden = false;
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) {
    say(trouble.dataset.old);
    form.querySelector('button').disabled = true;
    continue;
  }
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    trouble.hidden = true;
    const button = form.querySelector('button');
    button.disabled = true;
    try {
      const reply = await fetch(form.dataset.options, { method: 'POST', headers: { Accept: 'application/json' } });
      const options = await reply.json();
      if (options.again) {
        location.assign(options.again);
        return;
      }
      if (options.error) {
        say(options.error);
        return;
      }
      const credential = form.dataset.does === 'create'
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey) });
      form.elements.answer.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      const why = { NotAllowedError: 'cancelled', AbortError: 'cancelled', InvalidStateError: 'known' }[error.name];
      say(trouble.dataset[why ?? 'offline']);
    } finally {
      button.disabled = false;
    }
  });
}
