// What the API answers, as GET /schema describes it. For editors and type checkers; nothing of this is served.

export interface Page<T> { items: T[]; next: string | null }

export interface Avatar {
  index: number; style: string; look: string; url: string | null; saved_as: string | null;
  state: "pending" | "ready" | "saved" | "discarded" | "refused" | "failed" | "expired";
}

export interface GenerationSummary {
  id: string; created_at: string;
  status: "queued" | "rendering" | "done" | "failed" | "cancelled" | "expired";
}

export interface SentPhoto { index: number; accepted: boolean; reason: string | null; message: string | null }

export interface GenerationView extends GenerationSummary {
  reason: string | null; photos: SentPhoto[]; started_at: string | null; ended_at: string | null; avatars: Avatar[];
  progress: { drawn: number; of: number }; position: number | null; eta_s: number | null; events_url: string;
  deadlines: { photos: string; avatars: string; photos_deleted_at: string | null; avatars_deleted_at: string | null };
}

export interface Trend { chosen: number; saved: number; published: number }
export type Period = "day" | "week" | "all";
export interface Style {
  name: string; title: string; description: string; author: string; preview_url: string | null; trend: Record<Period, Trend>;
}

export interface Quota { tier: string; limit: number; remaining: number; resets_at: string }
export interface Policy {
  version: string; text: string; faces_compared: boolean;
  photos_deleted_after_s: number; photos_live_at_most_s: number; unsaved_avatars_live_s: number; stories_live_s: number;
}
export interface SavedAvatar { avatar: string; style: string; look: string; url: string }
export interface Story { id: string; avatar: string; caption: string; url: string; posted_at: string; until: string }
export interface Picture { avatar: string; url: string; set_at: string }
export interface Deletion { what: string; deleted_at: string; objects: string[]; key: string }

/** An avatar as the pages show it: `image` is where its picture is, `saved` its id in the gallery, once it is there. */
export interface Shown { key: string; style: string; look: string; title: string; image: string; saved: string | null }

/** `item` is the avatar that is enlarged, if one is. */
export interface Route { name: string; id: string; item: string }

/** A page. `load` asks the server, and may be called again at any time; a busy one goes on while others are shown. */
export interface View {
  element: HTMLElement; title: string; load(): Promise<unknown>;
  update?(route: Route): void; destroy?(): unknown; busy?(): boolean;
}

export interface App { draft: import("./draft.js").Draft; styles(): Promise<Style[]> }
