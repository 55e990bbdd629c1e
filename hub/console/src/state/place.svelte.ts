// Where the operator is: / is the queue, /map the map of a phone, /incidents/12 an incident; ?device= opens a device.
// The address is the state, so that reload, back and a link sent to a colleague all do what they should.

export type View = { page: "queue" } | { page: "map" } | { page: "incident"; incident: number };

export function viewOf(path: string): View {
  const incident = /^\/incidents\/(\d{1,15})\/?$/.exec(path);
  if (incident) return { page: "incident", incident: Number(incident[1]) };
  return path === "/map" ? { page: "map" } : { page: "queue" };
}

class Place {
  private path = $state(location.pathname);
  private search = $state(location.search);

  constructor() {
    addEventListener("popstate", () => this.read());
  }

  get view(): View {
    return viewOf(this.path);
  }

  get device(): string | null {
    return new URLSearchParams(this.search).get("device");
  }

  go(path: string): void {
    if (path === location.pathname + location.search) return;
    history.pushState(null, "", path);
    this.read();
  }

  /** Opens a device beside what is shown, or closes it. */
  showDevice(device: string | null): void {
    this.go(this.path + (device === null ? "" : `?device=${encodeURIComponent(device)}`));
  }

  private read(): void {
    this.path = location.pathname;
    this.search = location.search;
  }
}

export const place = new Place();

/** For links: a plain click stays in this page, everything else is the browser's. */
export function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.currentTarget as HTMLAnchorElement;
  event.preventDefault();
  place.go(link.pathname + link.search);
}
