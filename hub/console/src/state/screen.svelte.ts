// Phone or desk: on a phone one thing fills the screen at a time.

class Screen {
  phone = $state(false);

  constructor() {
    const narrow = matchMedia("(max-width: 760px)");
    this.phone = narrow.matches;
    narrow.addEventListener("change", () => (this.phone = narrow.matches));
  }
}

export const screen = new Screen();
