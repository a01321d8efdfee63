// Search in pages that are opened as files. Browsers start no worker there; the theme takes what is
// called IFrameWorker in its place: the script of the search runs in a hidden frame.
if (location.protocol === 'file:') {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement('iframe')
      frame.hidden = true
      document.body.append(frame)
      this.inner = frame.contentWindow
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent('message', { data }))
      const script = frame.contentDocument.createElement('script')
      this.loaded = new Promise(resolve => { script.onload = resolve })
      script.src = new URL(url, location.href).href
      frame.contentDocument.body.append(script)
    }

    postMessage(data) {
      this.loaded.then(() => this.inner.dispatchEvent(new MessageEvent('message', { data })))
    }
  }
}
